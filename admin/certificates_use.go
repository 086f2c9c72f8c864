package admin

import (
	"fmt"
	"net/http"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// checkCertificates refuses a configuration that names a certificate which is not there. The group would too; this says where.
func (a *API) checkCertificates(next *config.Config) error {
	at, problem := a.opt.State.Operating().NamedProblem(next)
	if problem == "" {
		return nil
	}
	p := wire.NewProblem(http.StatusUnprocessableEntity, wire.CodeConfigInvalid, "The configuration is not valid; nothing was changed.")
	p.Errors = []wire.ProblemError{{Location: at, Message: problem}}
	return p
}

// certificateWarnings says which listeners would present what clients refuse, now or soon.
func (a *API) certificateWarnings(next *config.Config) (list []string) {
	o := a.opt.State.Operating()
	for i := range next.Listeners {
		l := &next.Listeners[i]
		for _, name := range l.Certificates {
			c := o.Certificate(name)
			if c == nil || c.Authorities() {
				continue
			}
			info, err := certs.Describe(c.Chain[0])
			if err != nil {
				continue
			}
			problems := info.Warnings()
			if p := info.Problem(a.clock()); p != "" {
				problems = append(problems, p)
			}
			for _, p := range problems {
				list = append(list, fmt.Sprintf("listener %q: certificate %s %s", l.Name, name, p))
			}
		}
	}
	return list
}
