package modjk

// ajpWhy is the reason for what only the protocol between mod_jk and Tomcat knows.
const ajpWhy = "belongs to AJP connections; Holdfast speaks HTTP and keeps connections of its own"

// directives are those that mod_jk knows. One of which nothing is taken over has the reason why.
var directives = map[string]string{
	"type": "", "reference": "", "mount": "",
	"host": "", "port": "", "reply_timeout": "", "retries": "", "recovery_options": "",
	"fail_on_status": "", "busy_limit": "", "lbfactor": "", "activation": "", "route": "",
	"distance": "", "domain": "", "redirect": "", "jvm_route": "", "disabled": "", "stopped": "",
	"balance_workers": "", "balanced_workers": "", "sticky_session": "", "sticky_session_force": "", "method": "",
	"lb_retries": "", "recover_time": "", "max_reply_timeouts": "", "session_cookie": "", "session_path": "",
	"set_session_cookie": "",

	"source": ajpWhy, "socket_timeout": ajpWhy, "socket_connect_timeout": ajpWhy, "socket_keepalive": ajpWhy,
	"socket_buffer": ajpWhy, "ping_mode": ajpWhy, "ping_timeout": ajpWhy, "connection_ping_interval": ajpWhy,
	"connection_pool_size": ajpWhy, "connection_pool_minsize": ajpWhy, "connection_pool_timeout": ajpWhy,
	"connection_acquire_timeout": ajpWhy, "connect_timeout": ajpWhy, "prepost_timeout": ajpWhy, "retry_interval": ajpWhy,
	"max_packet_size": ajpWhy, "prefer_ipv6": ajpWhy, "secret": ajpWhy, "secretkey": ajpWhy,
	"cachesize": ajpWhy, "cache_timeout": ajpWhy, "recycle_timeout": ajpWhy,

	"lock":                  "the group decides once for all nodes",
	"error_escalation_time": "a majority of the nodes decides at once whether an instance is available",
	"session_cookie_path":   "only a cookie of the balancer's own has it",
	"css":                   statusWhy, "read_only": statusWhy, "user": statusWhy, "user_case_insensitive": statusWhy,
	"good": statusWhy, "bad": statusWhy, "prefix": statusWhy, "ns": statusWhy, "xmlns": statusWhy,
	"doctype": statusWhy,
}

const statusWhy = "Holdfast shows its status with 'holdfast status' and in /metrics"

// repeatable directives may stand on several lines, which are put together; of others the last line counts.
var repeatable = map[string]bool{"balance_workers": true, "balanced_workers": true, "mount": true, "css": true}
