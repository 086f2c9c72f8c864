package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// hookCaller calls webhooks and programs.
type hookCaller struct {
	client   *http.Client
	programs programs
}

// newHookCaller makes one; dir gives the directory of the programs, empty when there is none.
func newHookCaller(p programs) *hookCaller {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true,
	}
	// A redirect would lead to an address that no administrator has named.
	return &hookCaller{programs: p, client: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Call implements workflowHooks.
func (h *hookCaller) Call(ctx context.Context, c *workflow.Call) workflow.Outcome {
	if name, ok := strings.CutPrefix(c.Hook, workflow.ExecPrefix); ok {
		return h.programs.run(ctx, name, c)
	}
	return h.post(ctx, c)
}

// hookBody is what a webhook receives.
type hookBody struct {
	Workflow    string `json:"workflow"`
	Kind        string `json:"kind"`
	Step        string `json:"step"`
	Cluster     string `json:"cluster"`
	Instance    string `json:"instance,omitempty"`
	Host        string `json:"host,omitempty"`
	ContextRoot string `json:"contextRoot,omitempty"`
	Attempt     int    `json:"attempt"`
}

// post calls a webhook. 2xx and 409 (it has been done under this key already) are successes.
func (h *hookCaller) post(ctx context.Context, c *workflow.Call) workflow.Outcome {
	t := c.Target
	body, err := json.Marshal(hookBody{Workflow: c.Workflow, Kind: c.Kind, Step: c.Step, Cluster: t.Cluster, Instance: t.Instance,
		Host: t.Host, ContextRoot: t.ContextRoot, Attempt: c.Attempt})
	if err != nil {
		return workflow.Outcome{Failure: err.Error(), Final: true}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Hook, bytes.NewReader(body))
	if err != nil {
		return workflow.Outcome{Failure: "the address is not one", Final: true}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", c.Key)
	req.Header.Set("Holdfast-Attempt", strconv.Itoa(c.Attempt))
	req.Header.Set("User-Agent", "holdfast-workflow")
	resp, err := h.client.Do(req)
	if err != nil {
		return workflow.Outcome{Failure: withoutAddress(err).Error()}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300, resp.StatusCode == http.StatusConflict:
		return workflow.Outcome{}
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return workflow.Outcome{Failure: fmt.Sprintf("the webhook answered %d; redirects are not followed", resp.StatusCode)}
	}
	return workflow.Outcome{Failure: fmt.Sprintf("the webhook answered %d", resp.StatusCode)}
}

// withoutAddress drops the address with its query, which may hold a secret.
func withoutAddress(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
