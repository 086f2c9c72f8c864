package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// upgradeWait is how long an upgrade of the node's program is waited for. NewServer leaves room for it.
const upgradeWait = 80 * time.Second

type upgradeBinaryInput struct {
	Body wire.BinaryUpgrade
}

type upgradeBinaryOutput struct {
	Body wire.BinaryUpgraded
}

func (a *API) registerUpgradeBinary() {
	if a.opt.UpgradeBinary == nil {
		return
	}
	register(a, route{
		method: http.MethodPost, path: "/v1/upgrade-binary", id: "upgrade-binary", role: wire.RoleAdmin, permission: permit.NodesUpgrade,
		summary: "Have a new program take over the node that is asked",
		about: "The running process starts the program with its own arguments and environment, hands it the listening sockets and the node's place in the group, and lets its clients finish. No " +
			"connection is refused and no request fails. The answer comes when the new program serves. Refused, and the process goes on as before, when the program does not start, " +
			fmt.Sprintf("does not fit the group, or does not serve in time; while another upgrade of this node is under way. After %v the outcome is unknown, and the upgrade goes on.", upgradeWait),
		edit: func(op *huma.Operation) {
			op.Errors = append(op.Errors, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusGatewayTimeout)
		},
	}, a.upgradeBinary)
}

func (a *API) upgradeBinary(ctx context.Context, in *upgradeBinaryInput) (*upgradeBinaryOutput, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	type outcome struct {
		done wire.BinaryUpgraded
		err  error
	}
	a.opt.Logger.WarnContext(ctx, "upgrade of this node's program", "program", in.Body.Program, "actor", callOf(ctx).who.actor)
	ended := make(chan outcome, 1)
	go func() {
		done, err := a.opt.UpgradeBinary(context.WithoutCancel(ctx), in.Body)
		ended <- outcome{done, err}
	}()
	wait := time.NewTimer(upgradeWait)
	defer wait.Stop()
	select {
	case o := <-ended:
		var words *RefusedError
		if errors.As(o.err, &words) {
			return nil, refusedf("The program was not replaced, this one goes on: %s.", strings.TrimSuffix(words.Words, "."))
		}
		return &upgradeBinaryOutput{o.done}, o.err
	case <-wait.C:
		return nil, ErrOutcomeUnknown
	case <-ctx.Done():
		return nil, ErrOutcomeUnknown
	}
}
