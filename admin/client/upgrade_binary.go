package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of an upgrade of a node's program.
type (
	BinaryUpgrade  = wire.BinaryUpgrade
	BinaryUpgraded = wire.BinaryUpgraded
)

// upgradeTime is what a node takes at most to answer, beyond that of any other call.
const upgradeTime = 80 * time.Second

// UpgradeBinary has another program take over the node that is asked, so that the client must know no other. It is not repeated when its outcome is unknown. A refusal is a *Problem with refused: the program that ran goes on.
func (c *Client) UpgradeBinary(ctx context.Context, u BinaryUpgrade) (*BinaryUpgraded, error) {
	if len(c.urls) != 1 {
		return nil, fmt.Errorf("the program of one node is upgraded, and %d nodes are named: name that one alone", len(c.urls))
	}
	body, header, err := jsonBody(u)
	if err != nil {
		return nil, err
	}
	r, _, err := call[BinaryUpgraded](ctx, c, request{method: http.MethodPost, path: "/v1/upgrade-binary", body: body, header: header, extra: upgradeTime})
	return r, err
}
