package rivals

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"sync/atomic"
	"time"
)

// pair is the certificate that all rivals present, with its key, in PEM: ECDSA on P-256.
type pair struct{ cert, key []byte }

func newPair() (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench.test"}, DNSNames: []string{"bench.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return pair{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return pair{}, err
	}
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})}, nil
}

// TLS13 is a client that speaks TLS 1.3, by one of the groups (nil: what Go offers), and resumes nothing. It does not ask who the other side is: that is work of the client alone.
func TLS13(groups []tls.CurveID) *tls.Config {
	return &tls.Config{ServerName: "bench.test", InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, CurvePreferences: groups, NextProtos: []string{"http/1.1"}}
}

// Handshakes has clients make connections with TLS one after another for that long, each for one request of 100 bytes and never resumed.
func Handshakes(ctx context.Context, r *Rival, groups []tls.CurveID, clients int, took time.Duration) (Figures, error) {
	pids := r.pids()
	before, err := processorTime(pids)
	if err != nil {
		return Figures{}, err
	}
	var all sync.WaitGroup
	var made atomic.Int64
	errs := make([]error, clients)
	begin := time.Now()
	for i := range clients {
		all.Go(func() {
			for errs[i] == nil && time.Since(begin) < took && ctx.Err() == nil {
				var c *client
				if c, errs[i] = dial(ctx, r.Secure, TLS13(groups), r.Cookies[i%len(r.Cookies)]); errs[i] != nil {
					return
				}
				errs[i] = c.ask(100)
				c.conn.Close()
				made.Add(1)
			}
		})
	}
	all.Wait()
	f := Figures{Requests: int(made.Load()), Took: time.Since(begin)}
	after, err := processorTime(pids)
	if err := errors.Join(append(errs, err, ctx.Err())...); err != nil || f.Requests == 0 {
		return f, fmt.Errorf("%s: %d handshakes: %w", r.Name, f.Requests, err)
	}
	f.Processor = after - before
	return f, nil
}
