package config

import "pgregory.net/rapid"

// drawACME gives what has certificates obtained, or nothing.
func drawACME(r *rapid.T) *ACME {
	if !rapid.Bool().Draw(r, "acme") {
		return nil
	}
	a := &ACME{AcceptTerms: true}
	a.Directory = rapid.SampledFrom([]string{LetsEncrypt, "https://ca.example:14000/dir", "https://[::1]/a?b=c"}).Draw(r, "directory")
	a.Email = rapid.SampledFrom([]string{"", "ops@shop.example", "a+b@x.y"}).Draw(r, "email")
	a.Challenges = rapid.SampledFrom([][]string{{"http-01", "tls-alpn-01"}, {"tls-alpn-01"}, {"tls-alpn-01", "http-01"}}).Draw(r, "challenges")
	a.Authorities = rapid.SampledFrom([][]string{nil, {"ca"}, {"ca", "no"}}).Draw(r, "ACME authorities")
	a.ExternalAccount = rapid.SampledFrom([]string{"", "kid-1", "null"}).Draw(r, "account")
	a.Certificates = []ACMECertificate{{Name: "site", Hosts: []string{"shop.example", "www.shop.example"}, Key: rapid.SampledFrom(acmeKeys).Draw(r, "key")}}
	if rapid.Bool().Draw(r, "two") {
		a.Certificates = append(a.Certificates, ACMECertificate{Name: "1.2", Hosts: []string{"localhost"}, Key: "rsa-2048"})
	}
	return a
}
