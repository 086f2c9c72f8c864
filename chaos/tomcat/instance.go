package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// Where Debian puts Tomcat 10 and its examples (packages tomcat10-common and tomcat10-examples).
const (
	catalinaHome = "/usr/share/tomcat10"
	examples     = "/usr/share/tomcat10-examples/examples"
)

// tomcat is one application server process.
type tomcat struct {
	name    string
	addr    string // host:port
	base    string // its CATALINA_BASE
	process *proc.Process
}

// serverXML: the Server header says which instance answered, by Tomcat's own hand; the access log says so a second time.
const serverXML = `<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1">
  <Service name="Catalina">
    <Connector address="127.0.0.1" port="%d" protocol="HTTP/1.1" server="%s" connectionTimeout="20000" maxThreads="64" acceptCount="256"/>
    <Engine name="Catalina" defaultHost="localhost"%s>
      <Host name="localhost" appBase="webapps" autoDeploy="false" deployOnStartup="false">
        <Context path="/examples" docBase="%s"/>
        <Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs" prefix="access" suffix=".log"
               buffered="false" rotatable="false" pattern="%%S %%s %%r"/>
      </Host>
    </Engine>
  </Service>
</Server>
`

// startTomcat writes a CATALINA_BASE and starts the server. Java is started directly, so that its process id is the one
// that gets killed.
func startTomcat(set *proc.Set, dir, name string, port int, jvmRoute string) (*tomcat, error) {
	t := &tomcat{name: name, addr: fmt.Sprintf("127.0.0.1:%d", port), base: filepath.Join(dir, name)}
	for _, sub := range []string{"conf", "logs", "temp", "webapps", "work"} {
		if err := os.MkdirAll(filepath.Join(t.base, sub), 0o700); err != nil {
			return nil, err
		}
	}
	if jvmRoute != "" {
		jvmRoute = fmt.Sprintf(" jvmRoute=%q", jvmRoute)
	}
	server := fmt.Sprintf(serverXML, port, name, jvmRoute, examples)
	if err := os.WriteFile(filepath.Join(t.base, "conf", "server.xml"), []byte(server), 0o600); err != nil {
		return nil, err
	}
	web, err := os.ReadFile(filepath.Join(catalinaHome, "etc", "web.xml"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(t.base, "conf", "web.xml"), web, 0o600); err != nil {
		return nil, err
	}
	bin := filepath.Join(catalinaHome, "bin")
	t.process, err = set.Start(proc.Spec{
		Name: name, Path: "java", Log: filepath.Join(dir, name+".log"),
		Args: []string{
			"-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", // a quick start matters more than speed here
			"-Dcatalina.home=" + catalinaHome, "-Dcatalina.base=" + t.base, "-Djava.io.tmpdir=" + filepath.Join(t.base, "temp"),
			"-classpath", filepath.Join(bin, "bootstrap.jar") + ":" + filepath.Join(bin, "tomcat-juli.jar"),
			"org.apache.catalina.startup.Bootstrap", "start",
		},
	})
	return t, err
}

func (t *tomcat) ready(ctx context.Context) error {
	return t.process.Ready(ctx, "http://"+t.addr+"/examples/index.html")
}

// served reads the access log: which session ids this instance answered requests of.
func (t *tomcat) served() (map[string]int, error) {
	text, err := os.ReadFile(filepath.Join(t.base, "logs", "access.log"))
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for line := range strings.Lines(string(text)) {
		if id, rest, _ := strings.Cut(line, " "); id != "-" && strings.Contains(rest, sessionPage) {
			count[id]++
		}
	}
	return count, nil
}
