package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// tokenDuty sees to it that somebody can get in.
type tokenDuty struct{ s *Server }

func (tokenDuty) name() string { return "first-token" }

func (d tokenDuty) look(ctx context.Context) (time.Duration, error) {
	return never, d.s.firstToken(ctx)
}

// firstToken lets the first operator in: on a loopback admin address nobody needs a token; on another one nobody has one yet, so the
// leader of a group without tokens makes one and leaves it in its data directory.
func (s *Server) firstToken(ctx context.Context) error {
	host, _, err := net.SplitHostPort(s.adminLn.Addr().String())
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() || s.state.AdminAccess() {
		return nil
	}
	var id [8]byte
	var secret [32]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand ends the process when there is no randomness
	_, _ = rand.Read(secret[:])
	hash := sha256.Sum256(secret[:])
	path := filepath.Join(s.dir.Path(), "admin-token")
	text := fmt.Sprintf("hft1.%s.%s\n", hex.EncodeToString(id[:]), base64.RawURLEncoding.EncodeToString(secret[:]))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	result, err := s.node.Propose(ctx, &fsm.TokenPut{Token: fsm.Token{
		ID: hex.EncodeToString(id[:]), Role: "admin", Hash: hash[:], Note: "first token, made by node " + s.config.Name, Created: s.state.Now(),
	}})
	if err != nil {
		return err
	}
	if result.Code != fsm.CodeOK {
		return fmt.Errorf("refused: %s", result.Message)
	}
	s.log.Info("first admin token written", "file", path)
	return nil
}
