package rivals

import (
	"context"
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// address is a free one.
func address() (string, error) {
	ports, err := proc.Ports(1, "127.0.0.1")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("127.0.0.1:%d", ports[0]), nil
}

// haproxy is sticky by a cookie that it inserts, or by the application's cookie in a stick-table, which is what comes nearest to a table of sessions.
func (s *Stand) haproxy(ctx context.Context, name string, stickTable bool) (*Rival, error) {
	addr, err := address()
	if err != nil {
		return nil, err
	}
	secure, err := address()
	if err != nil {
		return nil, err
	}
	pem := s.write(name+".pem", string(s.pair.cert)+string(s.pair.key))
	sticky := "cookie SRV insert indirect nocache"
	if stickTable {
		sticky = "stick-table type string len 32 size 1m expire 30m\n\tstick on req.cook(SID)"
	}
	var servers strings.Builder
	for i, instance := range s.instances {
		fmt.Fprintf(&servers, "\tserver i%[1]d %[2]s cookie i%[1]d check inter 1s\n", i+1, instance)
	}
	conf := fmt.Sprintf(`global
	nbthread 2
	maxconn 8000
defaults
	mode http
	maxconn 8000
	timeout connect 5s
	timeout client 300s
	timeout server 300s
	timeout http-keep-alive 300s
	option forwardfor
	option httpchk GET /100
frontend f
	bind %s
	bind %s ssl crt %s alpn h2,http/1.1
	default_backend b
backend b
	balance roundrobin
	%s
%s`, addr, secure, pem, sticky, servers.String())
	p, err := s.start(name, "haproxy", "-db", "-f", s.write(name+".cfg", conf))
	if err != nil {
		return nil, err
	}
	return (&Rival{Name: name, Addr: addr, Secure: secure, process: p}).finish(ctx)
}

// nginx is sticky by a hash of the application's cookie: the free version keeps no table.
func (s *Stand) nginx(ctx context.Context) (*Rival, error) {
	addr, err := address()
	if err != nil {
		return nil, err
	}
	secure, err := address()
	if err != nil {
		return nil, err
	}
	clear2, err := address() // this version speaks one of the two on a port in clear text
	if err != nil {
		return nil, err
	}
	conf := fmt.Sprintf(`daemon off; worker_processes 2; user root; pid %[1]s/pid; error_log %[1]s/errors; worker_rlimit_nofile 20000;
events { worker_connections 9000; }
http {
	access_log off; keepalive_timeout 300s; keepalive_requests 1000000000;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	upstream instances { hash $cookie_SID consistent; server %[2]s; keepalive 1024; keepalive_requests 1000000000; }
	server {
		listen %[3]s backlog=4096;
		listen %[7]s http2 backlog=4096;
		listen %[4]s ssl http2 backlog=4096; http2_max_concurrent_streams 256; ssl_certificate %[5]s; ssl_certificate_key %[6]s; ssl_protocols TLSv1.2 TLSv1.3;
		location / {
			proxy_pass http://instances; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_max_temp_file_size 0;
		}
	}
}
`, s.scratch("nginx"), strings.Join(s.instances, "; server "), addr, secure, s.write("site.crt", string(s.pair.cert)), s.write("site.key", string(s.pair.key)), clear2)
	p, err := s.start("nginx", "nginx", "-c", s.write("nginx.conf", conf))
	if err != nil {
		return nil, err
	}
	return (&Rival{Name: "nginx", Addr: addr, Secure: secure, Clear2: clear2, process: p}).finish(ctx)
}

// caddy is sticky by a cookie that it signs.
func (s *Stand) caddy(ctx context.Context) (*Rival, error) {
	addr, err := address()
	if err != nil {
		return nil, err
	}
	secure, err := address()
	if err != nil {
		return nil, err
	}
	port := func(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }
	conf := fmt.Sprintf(`{
	admin off
	auto_https off
	default_sni bench.test
	persist_config off
	servers {
		protocols h1 h2 h2c
	}
}
(proxy) {
	reverse_proxy %[3]s {
		lb_policy cookie SRV secret
		transport http {
			keepalive 120s
			keepalive_idle_conns 8192
			keepalive_idle_conns_per_host 2048
			compression off
		}
	}
}
http://:%[1]s {
	bind 127.0.0.1
	import proxy
}
https://:%[2]s {
	bind 127.0.0.1
	tls %[4]s %[5]s
	import proxy
}
`, port(addr), port(secure), strings.Join(s.instances, " "), s.write("caddy.crt", string(s.pair.cert)), s.write("caddy.key", string(s.pair.key)))
	p, err := s.start("caddy", s.Caddy, "run", "--adapter", "caddyfile", "--config", s.write("Caddyfile", conf))
	if err != nil {
		return nil, err
	}
	return (&Rival{Name: "caddy", Addr: addr, Secure: secure, process: p}).finish(ctx)
}
