package copies

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	written, failed, wrong, mended, lost, swept prometheus.Counter
}

func newMetrics(c *Copies, reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		m := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		reg.MustRegister(m)
		return m
	}
	gauge := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("holdfast_store_copies", "Values of the group that two nodes keep beside the log.", func() float64 {
		_, values, lost := c.opt.State.StoreHoldings()
		return float64(values - lost)
	})
	gauge("holdfast_store_copies_lost", "Values of the group whose bytes no node has any more.", func() float64 {
		_, _, lost := c.opt.State.StoreHoldings()
		return float64(lost)
	})
	gauge("holdfast_store_copies_gone_holders", "Values of which a holder is no member of the group any more; the leader gives them another one.", func() float64 {
		list, _, _ := c.opt.State.StoreHoldings()
		gone := 0
		for _, h := range list {
			if !slices.Contains(c.opt.Members(), h.ID) {
				gone += h.Values
			}
		}
		return float64(gone)
	})
	gauge("holdfast_store_copies_missing", "Values that this node should have on its disk and could not fetch.", func() float64 { return float64(c.Missing()) })
	gauge("holdfast_store_copies_kept", "Values on this node's disk beside the log, with those that nothing names any more.", func() float64 {
		values, _ := c.opt.Shelf.Usage()
		return float64(values)
	})
	gauge("holdfast_store_copies_kept_bytes", "Bytes of them.", func() float64 {
		_, size := c.opt.Shelf.Usage()
		return float64(size)
	})
	return &metrics{
		written: counter("holdfast_store_copies_written_bytes_total", "Bytes of values that this node took from clients and has two nodes keep."),
		failed:  counter("holdfast_store_copies_unread_total", "Reads of values for which this node found none of their holders."),
		wrong:   counter("holdfast_store_copies_wrong_total", "Answers of other nodes that were not the value that was asked for. They are not used."),
		mended:  counter("holdfast_store_copies_mended_total", "Values that this node has fetched because it lacked them or, as the leader, has given other holders."),
		lost:    counter("holdfast_store_copies_found_lost_total", "Values of which this node, as the leader, has found that nobody has them."),
		swept:   counter("holdfast_store_copies_swept_total", "Values that this node has thrown away because nothing names them."),
	}
}
