package proc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Ports finds n different TCP ports that are free on all the hosts. They lie below the range from which the kernel takes
// ports for outgoing connections: a node that is restarted must not find its port taken by a client.
func Ports(n int, hosts ...string) ([]int, error) {
	lowest, highest := 10_000, ephemeralStart()
	if highest < lowest+1000 {
		return nil, fmt.Errorf("find free ports: outgoing connections start at port %d, too low", highest)
	}
	var ports []int
	taken := map[int]bool{}
	for range 200 * n {
		port := lowest + rand.IntN(highest-lowest)
		if taken[port] || !free(port, hosts) {
			continue
		}
		taken[port] = true
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("find free ports: none")
}

func free(port int, hosts []string) bool {
	for _, host := range hosts {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = listener.Close()
	}
	return true
}

func ephemeralStart() int {
	const usual = 32768 // Documentation/networking/ip-sysctl.rst
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
		return usual
	}
	return first
}
