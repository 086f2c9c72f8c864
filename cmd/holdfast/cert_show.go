package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func newCertShowCommand(g *globals) *cobra.Command {
	var pem bool
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a certificate with its chain; its key is never shown",
		Example: `  holdfast cert show site
  holdfast cert show site --pem | openssl verify -untrusted /dev/stdin`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			cert, err := c.Certificate(ctx, args[0])
			if err != nil {
				return fmt.Errorf("show certificate %s: %w", clean(args[0]), err)
			}
			if pem {
				for _, i := range cert.Certificates {
					if _, err := io.WriteString(g.out, i.PEM); err != nil {
						return err
					}
				}
				return nil
			}
			return g.print(cert, func(w io.Writer) error { return writeCert(w, cert) })
		},
		ValidArgsFunction: g.completeCerts,
	}
	cmd.Flags().BoolVar(&pem, "pem", false, "print the chain in PEM and nothing else")
	return cmd
}

func writeCert(w io.Writer, c *client.Certificate) error {
	changed := "still to be obtained"
	if !c.Changed.IsZero() {
		changed = fmt.Sprintf("changed %s by %s", when(c.Changed), clean(orDash(c.Actor)))
	}
	fmt.Fprintf(w, "certificate %s (%s), %s, used by: %s\n", clean(c.Name), c.Kind, changed, clean(orDash(strings.Join(usedBy(c), " "))))
	writeACME(w, c.ACME)
	for _, i := range c.Certificates {
		fmt.Fprintf(w, "\n  subject      %s\n  issuer       %s\n", clean(i.Subject), clean(i.Issuer))
		if len(i.Names) > 0 {
			fmt.Fprintf(w, "  good for     %s\n", clean(strings.Join(i.Names, " ")))
		}
		fmt.Fprintf(w, "  valid        %s to %s\n  key          %s\n  serial       %s\n  SHA-256      %s\n", when(i.NotBefore), when(i.NotAfter), i.Key, i.Serial, i.Fingerprint)
	}
	for _, warn := range c.Warnings {
		fmt.Fprintf(w, "\nwarning: %s\n", clean(warn))
	}
	return nil
}

func newCertRemoveCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "remove NAME...",
		Short:   "Remove certificates that no listener names",
		Example: "  holdfast cert remove site-2025",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			for _, name := range names {
				if err := c.RemoveCertificate(ctx, name); err != nil {
					return fmt.Errorf("remove certificate %s: %w", clean(name), err)
				}
				fmt.Fprintf(g.out, "certificate %s removed\n", clean(name))
			}
			return nil
		},
		ValidArgsFunction: g.completeCerts,
	}
}

// completeCerts completes names of certificates.
func (g *globals) completeCerts(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 && cmd.Name() != "remove" {
		return nil, nothing
	}
	ctx, c, done, err := g.connect(cmd)
	if err != nil {
		return nil, nothing
	}
	defer done()
	list, err := c.Certificates(ctx)
	if err != nil {
		return nil, nothing
	}
	var names []string
	for _, cert := range list {
		names = append(names, cert.Name)
	}
	return names, nothing
}
