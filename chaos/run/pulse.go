package run

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/stage"
)

const (
	// pulseEvery is how often each instance is asked; pulseLost is after how long without an answer nobody can be blamed for taking it for dead.
	pulseEvery = 250 * time.Millisecond
	pulseLost  = 2 * time.Second
)

// pulse asks the instances as the nodes do, through the relays, until ctx ends. One that answers nobody although no fault says so is as dead as one that was killed: the machine is too busy,
// and a node that has its sessions go elsewhere does right. It is noted, because a run in which that happens shows less.
func (p *player) pulse(ctx context.Context) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, in := range p.stage.Instances {
		all.Go(func() { p.feel(ctx, in) })
	}
	return &all
}

func (p *player) feel(ctx context.Context, in *stage.Instance) {
	client := &http.Client{Timeout: 2 * pulseLost, Transport: &http.Transport{DialContext: p.stage.Dial()}}
	defer client.CloseIdleConnections()
	last := time.Now()
	var over func()
	told := false // some fault has said so
	answers := make(chan bool, 1)
	for {
		asked := time.Now()
		go func() { answers <- answersWell(ctx, client, "http://"+in.Known+"/health") }()
		lost := time.NewTimer(time.Until(last.Add(pulseLost)))
		good, known := false, false
		for !known {
			select {
			case good = <-answers:
				known = true
			case <-lost.C:
				if over == nil {
					told = p.load.Ledger.Hurting(in.Name)
					over = p.load.Ledger.Hurt(in.Name)
				}
			}
		}
		lost.Stop()
		if good {
			if over != nil {
				over()
				over = nil
				if !told {
					p.note(in.Name, fmt.Sprintf("%s answered nobody for %v", in.Name, time.Since(last).Round(100*time.Millisecond)))
				}
			}
			last = time.Now()
		}
		if pause(ctx, pulseEvery-time.Since(asked)) != nil {
			break
		}
	}
	if over != nil {
		over()
	}
}

func answersWell(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}
