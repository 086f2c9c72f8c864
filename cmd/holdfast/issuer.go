package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/admin/wire"
)

// maxAuthorities bounds the file of issuer set --authorities, in bytes.
const maxAuthorities = 64 << 10

func newIssuerCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "issuer",
		Short: "An issuer of OpenID Connect whose tokens open the API",
		Long: `People whom an issuer of OpenID Connect vouches for (Keycloak, Dex, Entra ID, ...; with LDAP behind it or not) get in with its tokens, as bearer tokens of the
API and with --token or HOLDFAST_TOKEN here. What they may comes from groups of users: --map says which group of the issuer is which of them. Access tokens of the
group go on as before, also when the issuer is down.`,
		Example: `  holdfast issuer set https://login.example/realms/it --audience holdfast --user-claim email --map lb-operators=ops
  holdfast issuer show
  HOLDFAST_TOKEN="$(get-a-token)" holdfast whoami`,
		Args: cobra.ArbitraryArgs,
		RunE: groupOnly,
	}
	cmd.AddCommand(newIssuerSetCommand(g), newIssuerShowCommand(g), newIssuerRemoveCommand(g))
	return g.operator(cmd)
}

func newIssuerSetCommand(g *globals) *cobra.Command {
	var req client.IssuerRequest
	var maps []string
	var authorities string
	cmd := &cobra.Command{
		Use:   "set URL",
		Short: "Believe an issuer, in place of the one before",
		Long: `Believe an issuer, by the address that it writes into its tokens. Each node fetches its keys by itself; the whole setting is given each time. An issuer whose
certificate is from authorities of your own needs --authorities.`,
		Example: `  holdfast issuer set https://login.example/realms/it --audience holdfast --user-claim email --map lb-operators=ops --map lb-readers=readers
  holdfast issuer set https://dex.internal:5556/dex --audience holdfast --authorities ca.pem --map admins=admins`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.URL = args[0]
			if req.Audience == "" {
				return usagef(cmd, "--audience is missing: whom the tokens are meant for, usually the client id")
			}
			for _, text := range maps {
				i := strings.LastIndexByte(text, '=')
				if i <= 0 || i == len(text)-1 {
					return usagef(cmd, "--map %s: want GROUP-OF-THE-ISSUER=GROUP, as in lb-operators=ops", text)
				}
				req.Groups = append(req.Groups, wire.ClaimedGroup{Claim: text[:i], Group: text[i+1:]})
			}
			if authorities != "" {
				data, err := g.readInput(authorities, maxAuthorities)
				if err != nil {
					return err
				}
				req.Authorities = string(data)
			}
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			is, err := c.SetIssuer(ctx, req)
			if err != nil {
				return fmt.Errorf("set issuer %s: %w", clean(args[0]), err)
			}
			return g.print(is, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "issuer %s is believed, for %s; 'holdfast issuer show' tells whether its keys are there\n", clean(is.URL), clean(is.Audience))
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&req.Audience, "audience", "", "`NAME` that tokens must be meant for: usually the client id")
	f.StringVar(&req.UserClaim, "user-claim", "sub", "the `CLAIM` with the name of the user")
	f.StringVar(&req.GroupsClaim, "groups-claim", "groups", "the `CLAIM` with the groups of the user")
	f.StringArrayVar(&maps, "map", nil, "which group of users a group of the issuer is: `CLAIM=GROUP` (repeatable)")
	f.StringVar(&authorities, "authorities", "", "`FILE` of PEM with authorities that vouch for the issuer's certificate; without it those of each node's machine")
	return cmd
}

func newIssuerShowCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "show",
		Short:   "Show the issuer, and what the node that answers has of its keys",
		Example: "  holdfast issuer show",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			is, err := c.Issuer(ctx)
			if err != nil {
				return fmt.Errorf("show issuer: %w", err)
			}
			return g.print(is, func(w io.Writer) error { return writeIssuer(w, is) })
		},
	}
}

func writeIssuer(w io.Writer, is *client.Issuer) error {
	own := "those of each node's machine"
	if is.Authorities != "" {
		own = "given"
	}
	fmt.Fprintf(w, "issuer %s, for %s\n\n  user         claim %s\n  groups       claim %s\n  authorities  %s\n", clean(is.URL), clean(is.Audience), clean(is.UserClaim), clean(is.GroupsClaim), own)
	for _, m := range is.Groups {
		fmt.Fprintf(w, "  %s is in group %s\n", clean(m.Claim), clean(m.Group))
	}
	k := is.Keys
	_, err := fmt.Fprintf(w, "\nnode %s has %s of it, fetched %s\n", clean(k.Node), count(k.Count, "key"), when(k.Fetched))
	if k.Failure != "" {
		_, err = fmt.Fprintf(w, "they cannot be fetched since %s: %s\n", when(k.Failing), clean(k.Failure))
	}
	return err
}

func newIssuerRemoveCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "remove",
		Short:   "Believe no issuer any more",
		Example: "  holdfast issuer remove",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, c, done, err := g.connect(cmd)
			if err != nil {
				return err
			}
			defer done()
			if err := c.RemoveIssuer(ctx); err != nil {
				return fmt.Errorf("remove issuer: %w", err)
			}
			_, err = fmt.Fprintln(g.out, "the group believes no issuer any more")
			return err
		},
	}
}
