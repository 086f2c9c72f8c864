package fsm

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// A registration costs no more than in proportion to what is there: up to 4,096 instances come within seconds when a group starts.
func TestRegistrationIsCheap(t *testing.T) {
	const many = 600
	r := newReplicaUnderTest(t)
	cl := testCluster("c", time.Hour, "i1")
	cl.Registration.Allow = true
	r.do(&ConfigChange{Config: testConfig(cl, testCluster("d", time.Hour, "i1"))})
	register := func(i int) {
		t.Helper()
		if res := r.do(&InstanceRegister{Cluster: "c", Instance: config.Instance{Name: fmt.Sprint("r", i), Enabled: true, Weight: 1}}); res.Code != CodeOK {
			t.Fatalf("%+v", res)
		}
	}
	for i := range many {
		register(i)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	register(many)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("a registration beside %d others allocates %d MiB", many, used>>20)
	}
	o := r.s.Operating()
	if len(o.Config.Clusters[0].Instances) != many+2 || len(o.Config.Clusters[1].Instances) != 1 || len(o.Revision.Config.Clusters[0].Instances) != 1 {
		t.Error("the configuration in force is not the revision's and the registered instances")
	}
}
