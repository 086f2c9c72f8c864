package main

import (
	"fmt"
	"net"
	"slices"
	"time"
)

// pulse measures how long the other goroutines of the process have to wait while the loops are busy: a byte goes over loopback and back every
// millisecond, as the messages of a Raft group would. Each second it prints the distribution.
func pulse() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	go echo(ln)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var took []time.Duration
	var b [1]byte
	for last := time.Now(); ; <-tick.C {
		began := time.Now()
		if _, err := c.Write(b[:]); err != nil {
			return err
		}
		if _, err := c.Read(b[:]); err != nil {
			return err
		}
		took = append(took, time.Since(began))
		if time.Since(last) < time.Second {
			continue
		}
		slices.Sort(took)
		at := func(p float64) time.Duration { return took[int(p*float64(len(took)-1))].Round(time.Microsecond) }
		fmt.Printf("pulse n=%d p50=%s p99=%s p999=%s max=%s\n", len(took), at(0.5), at(0.99), at(0.999), at(1))
		took, last = took[:0], time.Now()
	}
}

func echo(ln net.Listener) {
	c, err := ln.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	var b [1]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
		if _, err := c.Write(b[:]); err != nil {
			return
		}
	}
}
