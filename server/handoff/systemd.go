package handoff

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// FromManager takes the sockets that the service manager has opened for this process (sd_listen_fds(3)); nil when there are none. The variables are removed: a child is not meant.
func FromManager() (*Sockets, error) {
	pid, count, names := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		_ = os.Unsetenv(name)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxInherited {
		return nil, fmt.Errorf("LISTEN_FDS=%q: the service manager passes 0 to %d sockets", plain(count), maxInherited)
	}
	list := strings.Split(names, ":")
	s := &Sockets{}
	var errs []error
	for i := range n {
		name := ""
		if i < len(list) {
			name = plain(list[i])
		}
		if err := s.add(managed+name, firstInherited+i); err != nil {
			errs = append(errs, fmt.Errorf("descriptor %d of the service manager (%s): %w", firstInherited+i, name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		s.Close()
		return nil, fmt.Errorf("%w; a node takes listening TCP sockets and UDP sockets (ListenStream=, ListenDatagram=)", err)
	}
	return s, nil
}

// managed begins the names of the sockets of a service manager.
const managed = "manager "

// maxInherited bounds how many sockets a service manager passes.
const maxInherited = 1024

// Manager is the service manager as this process tells it things (sd_notify(3)). A nil one hears nothing.
type Manager struct{ address string }

// NotifyManager finds it; nil when there is none, or when it does not listen. The variable stays: a process that takes over from this one tells it too.
func NotifyManager() *Manager {
	address := os.Getenv("NOTIFY_SOCKET")
	switch {
	case address == "":
		return nil
	case address[0] == '@' || address[0] == '/': // an abstract one, or a path
		return &Manager{address}
	}
	return nil
}

// Tell sends assignments, such as READY=1, in one datagram. Each goes on a line of its own, so that none may have one in it.
func (m *Manager) Tell(assignments ...string) error {
	if m == nil {
		return nil
	}
	for _, a := range assignments {
		if strings.ContainsRune(a, '\n') {
			return fmt.Errorf("tell the service manager: %q has more than one line", a)
		}
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer c.Close()
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// Watchdog is how often the manager wants a sign of life at least; 0: it wants none.
func Watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}
