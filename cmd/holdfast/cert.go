package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/certs"
)

func newCertCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Certificates of listeners, and authorities that vouch for clients and instances",
		Long: `Listeners of protocol https name certificates of the group: certificates: [site]. All nodes have them, with their private keys sealed. A rotated one is
presented from then on, by every node, and closes no connection.`,
		Example: `  holdfast cert add site --cert fullchain.pem --key privkey.pem
  holdfast cert rotate site --cert fullchain.pem --key privkey.pem
  holdfast cert list`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newCertAddCommand(g), newCertRotateCommand(g), newCertListCommand(g), newCertShowCommand(g), newCertRemoveCommand(g), newCertRenewCommand(g), newCertAccountCommand(g))
	return g.operator(cmd)
}

// certFiles are the flags that bring a certificate.
type certFiles struct{ cert, key, authorities string }

func (f *certFiles) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.cert, "cert", "", "`FILE` of PEM with the certificate and its chain, in any order; - is standard input")
	cmd.Flags().StringVar(&f.key, "key", "", "`FILE` of PEM with the private key, unless it stands in that of --cert; - is standard input")
	cmd.Flags().StringVar(&f.authorities, "authorities", "", "`FILE` of PEM with authorities that vouch for clients, instances or an ACME server, in place of a certificate")
}

// read makes a request of the files.
func (f *certFiles) read(cmd *cobra.Command, g *globals) (req client.CertificateRequest, err error) {
	switch {
	case f.cert == "" && f.authorities == "":
		return req, usagef(cmd, "--cert is missing: the file with the certificate; or --authorities")
	case f.cert != "" && f.authorities != "":
		return req, usagef(cmd, "--cert and --authorities: a name stands for one of them")
	case f.key != "" && f.authorities != "":
		return req, usagef(cmd, "--key and --authorities: authorities have no private key here")
	case f.cert == "-" && f.key == "-":
		return req, usagef(cmd, "--cert and --key are both standard input: give both with --cert -")
	}
	if f.authorities != "" {
		req.Kind = wire.CertificateAuthorities
		req.Certificate, err = g.readPEM(f.authorities)
		return req, err
	}
	if req.Certificate, err = g.readPEM(f.cert); err == nil && f.key != "" {
		req.Key, err = g.readPEM(f.key)
	}
	return req, err
}

// readPEM reads a file, no further than certificates go.
func (g *globals) readPEM(name string) (string, error) {
	b, err := g.readInput(name, certs.MaxFile)
	return string(b), err
}

func newCertAddCommand(g *globals) *cobra.Command {
	var files certFiles
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a certificate with its private key, or a bundle of authorities",
		Example: `  holdfast cert add site --cert fullchain.pem --key privkey.pem
  cat key.pem chain.pem | holdfast cert add site --cert -
  holdfast cert add clients --authorities ca.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return files.send(cmd, g, "add", "added", args[0], func(ctx context.Context, c *client.Client, req client.CertificateRequest) (*client.Certificate, error) {
				return c.AddCertificate(ctx, client.NewCertificateRequest{Name: args[0], CertificateRequest: req})
			})
		},
	}
	files.flags(cmd)
	return cmd
}

func newCertRotateCommand(g *globals) *cobra.Command {
	var files certFiles
	cmd := &cobra.Command{
		Use:     "rotate NAME",
		Short:   "Put another certificate in the place of one; no connection is closed",
		Example: "  holdfast cert rotate site --cert fullchain.pem --key privkey.pem",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return files.send(cmd, g, "rotate", "rotated", args[0], func(ctx context.Context, c *client.Client, req client.CertificateRequest) (*client.Certificate, error) {
				return c.RotateCertificate(ctx, args[0], req)
			})
		},
		ValidArgsFunction: g.completeCerts,
	}
	files.flags(cmd)
	return cmd
}

// send reads the files, has the group take what they hold, and prints what it has then.
func (f *certFiles) send(cmd *cobra.Command, g *globals, verb, done, name string, take func(context.Context, *client.Client, client.CertificateRequest) (*client.Certificate, error)) error {
	req, err := f.read(cmd, g)
	if err != nil {
		return err
	}
	ctx, c, end, err := g.connect(cmd)
	if err != nil {
		return err
	}
	defer end()
	cert, err := take(ctx, c, req)
	if err != nil {
		return fmt.Errorf("%s certificate %s: %w", verb, clean(name), err)
	}
	return g.printChangedCert(cert, done)
}

// printChangedCert says what was done, and warns on standard error.
func (g *globals) printChangedCert(c *client.Certificate, verb string) error {
	for _, w := range c.Warnings {
		fmt.Fprintf(g.err, "warning: %s\n", clean(w))
	}
	return g.print(c, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "certificate %s %s: %s\n", clean(c.Name), verb, clean(describeCert(c)))
		return err
	})
}

// describeCert is a certificate in a few words.
func describeCert(c *client.Certificate) string {
	switch {
	case len(c.Certificates) == 0 && c.ACME != nil:
		return "still to be obtained"
	case len(c.Certificates) == 0:
		return "nothing that can be read"
	case c.Kind == wire.CertificateAuthorities:
		return "a bundle of authorities, " + count(len(c.Certificates), "certificate")
	}
	leaf := c.Certificates[0]
	return fmt.Sprintf("%s, %s, until %s", namesOrSubject(leaf), leaf.Key, when(leaf.NotAfter))
}

func namesOrSubject(i wire.CertificateInfo) string {
	if len(i.Names) == 0 {
		return i.Subject
	}
	return strings.Join(i.Names, " ")
}

func newCertListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the certificates, without their keys",
		Example: `  holdfast cert list
  holdfast cert list -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			all, err := c.CertificateList(ctx)
			if err != nil {
				return fmt.Errorf("list certificates: %w", err)
			}
			list := all.Certificates
			return g.print(all, func(w io.Writer) error {
				t := g.table("NAME", "KIND", "FOR", "KEY", "EXPIRES", "RENEWED", "ISSUER", "USED BY")
				for i := range list {
					t.row(certRow(&list[i])...)
				}
				if err := t.write(w); err != nil {
					return err
				}
				if err := writeFailures(w, list); err != nil || len(all.Presented) == 0 {
					return err
				}
				fmt.Fprintln(w)
				return g.presentedTable(all.Presented).write(w)
			})
		},
	}
}

// usedBy is what names a certificate: listeners, clusters that verify their instances by it, and acme.
func usedBy(c *client.Certificate) []string {
	list := slices.Clone(c.Listeners)
	for _, k := range c.Clusters {
		list = append(list, "cluster:"+k)
	}
	if c.Authority {
		list = append(list, "acme")
	}
	return list
}

// presentedTable is what instances present that end TLS themselves.
func (g *globals) presentedTable(list []wire.PresentedCertificate) *table {
	t := g.table("CLUSTER", "INSTANCE", "PRESENTS", "EXPIRES", "URL")
	for i := range list {
		p := &list[i]
		t.row(p.Cluster, p.Instance, p.Subject, endCell(p.Ends), p.URL)
	}
	return t
}

// endCell is when something expires, coloured by how soon that is.
func endCell(end time.Time) cell {
	switch left := time.Until(end); {
	case left <= 0:
		return cell{when(end), bad}
	case left < certs.Soon:
		return cell{when(end), warning}
	}
	return cell{text: when(end)}
}

func certRow(c *client.Certificate) []any {
	names, key, issuer, expires := "-", "-", "-", cell{text: "-"}
	if c.ACME != nil {
		names = strings.Join(c.ACME.Hosts, " ")
	}
	if len(c.Certificates) > 0 {
		first := c.Certificates[0]
		names, key, issuer = namesOrSubject(first), first.Key, first.Issuer
		if c.Kind == wire.CertificateAuthorities && len(c.Certificates) > 1 {
			names += fmt.Sprintf(" and %d more", len(c.Certificates)-1)
		}
		end := first.NotAfter
		for _, other := range c.Certificates { // an issuer that expires ends it too
			if other.NotAfter.Before(end) && c.Kind == wire.CertificateServer {
				end = other.NotAfter
			}
		}
		expires.text = when(end)
		switch left := time.Until(end); {
		case left <= 0:
			expires.style = bad
		case left < certs.Soon && c.ACME == nil:
			expires.style = warning
		}
	}
	return []any{c.Name, c.Kind, names, key, expires, renewal(c), issuer, orDash(strings.Join(usedBy(c), " "))}
}
