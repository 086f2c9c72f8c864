package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

func newCertRenewCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "renew NAME",
		Short: "Have a certificate obtained anew at once, of those in acme.certificates",
		Long: `The leader asks the authority at once, whatever the certificate's age, and also when it waits after a failure. The certificate that is there is presented until the
new one is. 'holdfast cert show NAME' and 'holdfast events' tell what came of it.`,
		Example: "  holdfast cert renew site",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			cert, err := c.RenewCertificate(ctx, args[0])
			if err != nil {
				return fmt.Errorf("renew certificate %s: %w", clean(args[0]), err)
			}
			return g.print(cert, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "certificate %s is being renewed; 'holdfast cert show %s' tells what came of it\n", clean(cert.Name), clean(cert.Name))
				return err
			})
		},
		ValidArgsFunction: g.completeCerts,
	}
}

// maxAccountKey is the most that a file with the key of an external account has, in bytes.
const maxAccountKey = 4 << 10

func newCertAccountCommand(g *globals) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "account KEY-ID --key FILE",
		Short: "Give the key by which an authority knows its customer (external account binding)",
		Long: `Some authorities open an account only for who has one there already. They hand out the id of a key, which the configuration names by acme.externalAccount, and the key itself,
which is no part of the configuration: it is sealed, and never shown.`,
		Example: "  holdfast cert account kid-1 --key hmac.txt",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usagef(cmd, "--key is missing: the file with the key; - is standard input")
			}
			key, err := g.readInput(file, maxAccountKey)
			if err != nil {
				return err
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if err := c.SetExternalAccount(ctx, wire.ExternalAccount{KeyID: args[0], Key: strings.TrimRight(strings.TrimSpace(string(key)), "=")}); err != nil {
				return fmt.Errorf("external account %s: %w", clean(args[0]), err)
			}
			_, err = fmt.Fprintf(g.out, "the key of the external account %s is kept\n", clean(args[0]))
			return err
		},
	}
	cmd.Flags().StringVar(&file, "key", "", "`FILE` with the key as the authority hands it out, base64url; - is standard input")
	return cmd
}

// renewal is when a certificate that the group obtains itself is renewed, or tried again; "-" for others.
func renewal(c *client.Certificate) cell {
	switch a := c.ACME; {
	case a == nil:
		return cell{text: "-"}
	case a.Failures > 0:
		return cell{text: "failed, again " + when(a.Next), style: bad}
	case !a.Requested.IsZero() || a.RenewAt.IsZero() || time.Until(a.RenewAt) <= 0:
		return cell{text: "now", style: warning}
	default:
		return cell{text: when(a.RenewAt)}
	}
}

// writeACME tells how the group obtains a certificate itself.
func writeACME(w io.Writer, a *wire.CertificateACME) {
	if a == nil {
		return
	}
	fmt.Fprintf(w, "\n  obtained by  %s\n  hosts        %s\n  key          %s\n", clean(a.Directory), clean(strings.Join(a.Hosts, " ")), clean(a.Key))
	if !a.RenewAt.IsZero() {
		fmt.Fprintf(w, "  renewed      %s\n", when(a.RenewAt))
	}
	if !a.Requested.IsZero() {
		fmt.Fprintf(w, "  asked for    %s\n", when(a.Requested))
	}
	if a.Failures > 0 {
		fmt.Fprintf(w, "  failed       %s in a row, the next attempt %s: %s\n", count(a.Failures, "time"), when(a.Next), clean(a.Error))
	}
}

// writeFailures tells why certificates could not be obtained.
func writeFailures(w io.Writer, list []client.Certificate) error {
	for i := range list {
		a := list[i].ACME
		if a == nil || a.Failures == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, "! %s could not be obtained: %s\n", clean(list[i].Name), clean(a.Error)); err != nil {
			return err
		}
	}
	return nil
}
