package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxTokenFile is more than any init string or join token has.
const maxTokenFile = 16 << 10

// withToken gives the settings with what is in JoinTokenFile. A node that is known already has no use for it, so the file may be gone.
func (c Config) withToken() (Config, error) {
	if c.JoinTokenFile == "" {
		return c, nil
	}
	text, err := readToken(c.JoinTokenFile)
	switch {
	case c.known():
		if c.JoinToken == "" && err == nil {
			c.JoinToken = text // that of another group is refused
		}
	case c.JoinToken != "":
		return c, errors.New("--join-token and --join-token-file exclude each other, also as HOLDFAST_JOIN_TOKEN and HOLDFAST_JOIN_TOKEN_FILE")
	case err != nil:
		return c, fmt.Errorf("--join-token-file: %w", err)
	default:
		c.JoinToken = text
	}
	c.JoinTokenFile = ""
	return c, nil
}

// readToken reads a secret from a file. No error shows it.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	text := strings.TrimSpace(string(data))
	switch {
	case err != nil:
		return "", err
	case text == "":
		return "", fmt.Errorf("%s is empty", path)
	case len(data) > maxTokenFile || strings.ContainsAny(text, " \t\r\n"):
		return "", fmt.Errorf("%s holds something else than one init string or join token", path)
	}
	return text, nil
}

// validateInit checks that there is the string by which nodes found a group together.
func (c Config) validateInit() error {
	switch token := strings.TrimSpace(c.JoinToken); {
	case strings.HasPrefix(token, "hfi1.") || c.known():
		return nil
	case token == "":
		return errors.New("--bootstrap-expect needs the init string that 'holdfast init' printed, the same on every node: in HOLDFAST_JOIN_TOKEN, in a file that --join-token-file names, or with --join-token")
	case strings.HasPrefix(token, "hfj1."):
		return errors.New("--bootstrap-expect needs an init string (hfi1.…), but --join-token (HOLDFAST_JOIN_TOKEN) is a join token (hfj1.…), of a group that is there already: leave --bootstrap-expect out to join that one")
	}
	return errors.New("--bootstrap-expect needs an init string (hfi1.…), but what was given as --join-token (HOLDFAST_JOIN_TOKEN) is none: it has to be the string that 'holdfast init' printed; a file that holds it goes with --join-token-file")
}
