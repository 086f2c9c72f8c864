package attack

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// Server is a real application server that keeps its own log of requests.
type Server struct {
	Name, Addr string // Addr is host:port
	// Log gives "METHOD TARGET" of each request so far, as the server read it; with Bodies " LENGTH" of the body that it read too.
	Log    func() ([]string, error)
	Bodies bool
	// Ready waits until it serves.
	Ready func(context.Context) error
}

// GoServer is net/http in this process; stop ends it.
func GoServer() (server *Server, stop func()) {
	var mu sync.Mutex
	var lines []string
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil { // a body that is cut off is no request
			lines = append(lines, fmt.Sprintf("%s %s %d", r.Method, r.RequestURI, n))
		}
	}))
	s.Config.DisableGeneralOptionsHandler = true // it answers OPTIONS * without a line in the log
	s.Start()
	log := func() ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), lines...), nil
	}
	return &Server{Name: "Go", Addr: s.Listener.Addr().String(), Log: log, Bodies: true, Ready: func(context.Context) error { return nil }}, s.Close
}

// Nginx starts Debian's in dir.
func Nginx(set *proc.Set, dir string) (*Server, error) {
	addr, err := address()
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/errors;
events { worker_connections 900; }
http {
	log_format read escape=none '$request';
	access_log %[1]s/access read;
	keepalive_requests 1000000;
	large_client_header_buffers 4 64k;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen %[2]s; location / { return 200 "$request_uri"; } }
}
`, dir, addr)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		return nil, err
	}
	p, err := set.Start(proc.Spec{Name: "nginx", Path: "nginx", Args: []string{"-c", file, "-e", filepath.Join(dir, "errors")}, Log: filepath.Join(dir, "nginx.log")})
	if err != nil {
		return nil, err
	}
	return serverOf("nginx", addr, filepath.Join(dir, "access"), p, "/"), nil
}

// Where Debian puts Tomcat 10.
const catalinaHome = "/usr/share/tomcat10"

const serverXML = `<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1">
  <Service name="Catalina">
    <Connector address="127.0.0.1" port="%s" protocol="HTTP/1.1" maxThreads="32" maxHttpRequestHeaderSize="65536" maxKeepAliveRequests="-1"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" autoDeploy="false" deployOnStartup="false">
        <Context path="" docBase="%s"/>
        <Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs" prefix="access" suffix=".log" buffered="false" rotatable="false" maxLogMessageBufferSize="65536" pattern="%%r"/>
      </Host>
    </Engine>
  </Service>
</Server>
`

// Tomcat starts Debian's in dir, with an application that has one page.
func Tomcat(set *proc.Set, dir string) (*Server, error) {
	addr, err := address()
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"conf", "logs", "temp", "webapps", "work", "app"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	web, err := os.ReadFile(filepath.Join(catalinaHome, "etc", "web.xml"))
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	for name, text := range map[string]string{
		"conf/server.xml": fmt.Sprintf(serverXML, port, filepath.Join(dir, "app")), "conf/web.xml": string(web), "app/index.html": "ok\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	bin := filepath.Join(catalinaHome, "bin")
	p, err := set.Start(proc.Spec{
		Name: "tomcat", Path: "java", Log: filepath.Join(dir, "tomcat.log"),
		Args: []string{
			"-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", // a quick start matters more than speed here
			"-Dcatalina.home=" + catalinaHome, "-Dcatalina.base=" + dir, "-Djava.io.tmpdir=" + filepath.Join(dir, "temp"),
			"-classpath", filepath.Join(bin, "bootstrap.jar") + ":" + filepath.Join(bin, "tomcat-juli.jar"),
			"org.apache.catalina.startup.Bootstrap", "start",
		},
	})
	if err != nil {
		return nil, err
	}
	return serverOf("Tomcat", addr, filepath.Join(dir, "logs", "access.log"), p, "/index.html"), nil
}

func address() (string, error) {
	ports, err := proc.Ports(1, "127.0.0.1")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0]), nil
}

// serverOf is one that writes a request line a line.
func serverOf(name, addr, log string, p *proc.Process, page string) *Server {
	return &Server{
		Name: name, Addr: addr,
		Ready: func(ctx context.Context) error { return p.Ready(ctx, "http://"+addr+page) },
		Log: func() ([]string, error) {
			text, err := os.ReadFile(log)
			if err != nil {
				return nil, err
			}
			var all []string
			for line := range strings.Lines(string(text)) {
				all = append(all, strings.TrimSuffix(strings.TrimSuffix(line, "\n"), " HTTP/1.1"))
			}
			return all, nil
		},
	}
}
