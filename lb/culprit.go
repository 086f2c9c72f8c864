package lb

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// bindError says why an address could not be bound; when it is in use, also by which listening socket: often one on another
// spelling of the address, such as 0.0.0.0.
func bindError(address string, err error) error {
	if absent(err) {
		return fmt.Errorf("%w: this machine does not have the address: correct it, name the nodes that have it (nodes: [...]), or give this node --vip if the group is to move it", err)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if culprits := listeningOn(address); len(culprits) > 0 {
		return fmt.Errorf("%w: something listens on %s; stop it or choose another address", err, strings.Join(culprits, ", "))
	}
	return fmt.Errorf("%w; stop what uses %s or choose another address", err, address)
}

// listeningOn gives the listening sockets of this machine with the address's port, as far as the kernel shows them.
func listeningOn(address string) []string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil
	}
	var found []string
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		found = append(found, socketsIn(string(text), stateListening, uint16(number))...)
	}
	return found
}

// States of sockets in /proc/net/tcp: LISTEN and SYN_RECV.
const (
	stateListening = "0A"
	stateHandshake = "03"
)

// socketsIn reads a table of the form of /proc/net/tcp (proc(5)), whose addresses are hexadecimal words in host byte order, and gives the local addresses
// of the sockets with that state and port.
func socketsIn(table, state string, port uint16) []string {
	var found []string
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != state {
			continue
		}
		ip, hexPort, ok := strings.Cut(fields[1], ":")
		number, err := strconv.ParseUint(hexPort, 16, 16)
		if !ok || err != nil || uint16(number) != port {
			continue
		}
		if addr := kernelIP(ip); addr != nil {
			found = append(found, net.JoinHostPort(addr.String(), strconv.Itoa(int(port))))
		}
	}
	return found
}

// kernelIP reads 8 or 32 hexadecimal digits, words of 4 bytes with the lowest byte first.
func kernelIP(digits string) net.IP {
	if len(digits) != 8 && len(digits) != 32 {
		return nil
	}
	ip := make(net.IP, 0, 16)
	for i := 0; i < len(digits); i += 8 {
		word, err := strconv.ParseUint(digits[i:i+8], 16, 32)
		if err != nil {
			return nil
		}
		ip = append(ip, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	return ip
}
