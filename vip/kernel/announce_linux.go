package kernel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// Announce tells the links once that this machine has the addresses: a gratuitous ARP request and reply, and an unsolicited neighbour advertisement that
// overrides what others knew. Who wants to be heard for certain calls it again. Addresses that are not there are not announced, and an error. Silence goes
// before: then nothing is sent.
func (k *Kernel) Announce() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.closed:
		return errClosed
	case !k.wanted:
		return errors.New("the addresses are not held: there is nothing to announce")
	case k.silent:
		return nil
	}
	var errs []error
	for _, p := range k.ports { // the link-layer address may have changed
		if err := k.find(p); err != nil {
			errs = append(errs, err)
		}
	}
	for _, a := range k.addrs {
		if a.port.quiet || a.port.index == 0 {
			continue
		}
		if !a.have {
			errs = append(errs, fmt.Errorf("%s is not there, and not announced", a.Address))
			continue
		}
		frames, err := announcements(a.IP(), a.port.mac)
		for _, f := range frames {
			err = errors.Join(err, a.port.send(f))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("announce %s: %w", a.Address, err))
		}
	}
	return errors.Join(errs...)
}

// probes is how often Probe asks: on a link that loses packets one question is not enough (RFC 5227 1.1: three).
const probes = 3

// Probe asks the links who has the addresses, three times within wait, and gives everybody who says so. It returns early when each address has been claimed.
// Nobody who hears the question learns anything from it. It is an error while the addresses are held openly: this machine would be asked itself; and when no
// question could be sent at all. Who cannot be asked by one interface of several has not answered.
func (k *Kernel) Probe(ctx context.Context, wait time.Duration) ([]vip.Claim, error) {
	heard, leave := k.subscribers.join()
	defer leave()
	ctx, stop := context.WithTimeout(ctx, wait)
	defer stop()
	var claims []vip.Claim
	// The last third is for the answer to the last question.
	again := time.NewTicker(max(wait/(probes+1), time.Millisecond))
	defer again.Stop()
	missing, err := k.ask(nil)
	if err != nil {
		return nil, err
	}
	for asked := 1; missing > 0; {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return claims, nil
			}
			return claims, ctx.Err()
		case <-again.C:
			if asked++; asked > probes {
				continue
			}
			if missing, err = k.ask(claims); err != nil && len(claims) == 0 {
				return nil, err
			}
		case c := <-heard:
			claims = k.note(claims, c)
			missing = k.unclaimed(claims)
		}
	}
	return claims, nil
}

// ask sends one question for each address that nobody has claimed yet and that can be asked for, and says how many these are.
func (k *Kernel) ask(claims []vip.Claim) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return 0, errClosed
	}
	if k.wanted && !k.silent {
		return 0, errors.New("this machine holds the addresses: a question would be answered by itself")
	}
	var errs []error
	for _, p := range k.ports {
		if err := k.find(p); err != nil {
			errs = append(errs, err)
		} else if !p.up && !p.quiet {
			errs = append(errs, fmt.Errorf("interface %s cannot carry traffic", p.name))
		}
	}
	sent := 0
	for _, a := range k.addrs {
		if !a.port.answers() || hasClaim(claims, a.Address) {
			continue
		}
		frame, err := probe(a.IP(), a.port.mac)
		if err == nil {
			err = a.port.send(frame)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("ask for %s: %w", a.Address, err))
		} else {
			sent++
		}
	}
	if sent > 0 {
		return k.openClaims(claims), nil
	}
	return k.openClaims(claims), errors.Join(errs...)
}

// answers tells whether a question by the interface can be answered.
func (p *port) answers() bool { return !p.quiet && p.index != 0 && p.up }

func (k *Kernel) unclaimed(claims []vip.Claim) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.openClaims(claims)
}

func (k *Kernel) openClaims(claims []vip.Claim) int {
	n := 0
	for _, a := range k.addrs {
		if a.port.answers() && !hasClaim(claims, a.Address) {
			n++
		}
	}
	return n
}

func hasClaim(claims []vip.Claim, a vip.Address) bool {
	return slices.ContainsFunc(claims, func(c vip.Claim) bool { return c.Address == a })
}

// note adds a claim that is to one of the addresses, on its interface, by somebody else, and new.
func (k *Kernel) note(claims []vip.Claim, c claim) []vip.Claim {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.claimedBy(c)
	if a == nil {
		return claims
	}
	if n := (vip.Claim{Address: a.Address, Hardware: c.mac}); !slices.Contains(claims, n) && len(claims) < 1000 {
		claims = append(claims, n)
	}
	return claims
}

// claimedBy gives the address that somebody else claims; nil: none.
func (k *Kernel) claimedBy(c claim) *held {
	for _, a := range k.addrs {
		if a.IP() == c.ip && a.Interface == c.name && a.port.mac.String() != c.mac {
			return a
		}
	}
	return nil
}
