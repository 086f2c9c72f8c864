package config

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// Every edit that is wrong is named with its place and a way out, and the rest of the transaction is not made either.
func TestApplyRefuses(t *testing.T) {
	for edits, want := range map[string]string{
		`[{}]`:                                 "edits[0].op: \"\" is unknown - write add, set, enable, disable or remove\nedits[0].kind: \"\" is unknown - write listener, cluster, instance, module or group",
		`[{"op":"rename","kind":"instances"}]`: "edits[0].op: \"rename\" is unknown - write add, set, enable, disable or remove\nedits[0].kind: \"instances\" is unknown - did you mean instance?",
		`[{"op":"add","kind":"instance"}]`:     "edits[0].name: is missing - say which instance\nedits[0].cluster: is missing - say in which cluster the instance is",
		`[{"op":"remove","kind":"module","cluster":"c1","name":"shop"}]`:                               "edits[0].name: does not belong to an edit of kind module - remove it\nedits[0].contextRoot: is missing - say which module",
		`[{"op":"remove","kind":"listener","name":"web","cluster":"c1","host":"h","contextRoot":"/"}]`: "edits[0].cluster: does not belong to an edit of kind listener - remove it\nedits[0].host: does not belong to an edit of kind listener - remove it\nedits[0].contextRoot: does not belong to an edit of kind listener - remove it",
		`[{"op":"disable","kind":"listener","name":"web"}]`:                                            "edits[0].op: a listener cannot be enabled or disabled - add or remove it",
		`[{"op":"remove","kind":"group"}]`:                                                             "edits[0].op: the group can only be set - write set",
		`[{"op":"enable","kind":"instance","cluster":"c1","name":"i1","values":{"weight":1}}]`:         "edits[0].values: values belong to add and set - remove them",
		`[{"op":"set","kind":"instance","cluster":"c1","name":"i1"}]`:                                  `edits[0].values: are missing: there is nothing to set - write values: {"weight": 2}, for example`,
		`[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":null}]`:                    `edits[0].values: are missing: there is nothing to set - write values: {"weight": 2}, for example`,
		`[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":[1]}]`:                     "edits[0].values: must be a mapping, this is a list - write key: value",
		// What does not exist, and what exists.
		`[{"op":"set","kind":"instance","cluster":"cc1","name":"i1","values":{"weight":1}}]`:                                          `edits[0].cluster: there is no cluster "cc1" - there are "c1", "c2"`,
		`[{"op":"remove","kind":"instance","cluster":"c1","name":"i3"}]`:                                                              `edits[0]: there is no instance "i3" of cluster "c1" - there are "i1", "i2"`,
		`[{"op":"remove","kind":"module","cluster":"c1","host":"www.example.com","contextRoot":"/shpo"}]`:                             `edits[0]: there is no module "www.example.com/shpo" of cluster "c1" - did you mean www.example.com/shop?`,
		`[{"op":"remove","kind":"module","cluster":"c2","contextRoot":"/x"}]`:                                                         `edits[0]: there is no module "/x" of cluster "c2" - there is none yet`,
		`[{"op":"remove","kind":"listener","name":"wbe1"}]`:                                                                           `edits[0]: there is no listener "wbe1" - there is only "web"`,
		`[{"op":"add","kind":"instance","cluster":"c1","name":"i1"}]`:                                                                 `edits[0]: there is instance "i1" of cluster "c1" already - to change it, use set`,
		`[{"op":"add","kind":"module","cluster":"c1","host":"WWW.EXAMPLE.COM","contextRoot":"/shop/"}]`:                               `edits[0]: there is module "www.example.com/shop" of cluster "c1" already - to change it, use set`,
		`[{"op":"add","kind":"cluster","name":"c1"},{"op":"add","kind":"listener","name":"web"}]`:                                     "edits[0]: there is cluster \"c1\" already - to change it, use set\nedits[1]: there is listener \"web\" already - to change it, use set",
		`[{"op":"remove","kind":"instance","cluster":"c1","name":"i2"},{"op":"enable","kind":"instance","cluster":"c1","name":"i2"}]`: `edits[1]: there is no instance "i2" of cluster "c1" - there is only "i1"`,
		// Names cannot be changed.
		`[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":{"name":"i9"}}]`:                           "edits[0].values.name: name cannot be changed: sessions and history go by it - add it under its new name and remove the old one",
		`[{"op":"set","kind":"module","cluster":"c1","contextRoot":"/shop","values":{"host":"a","contextRoot":"/b"}}]`: "edits[0].values.host: host cannot be changed: sessions and history go by it - add it under its new name and remove the old one\nedits[0].values.contextRoot: contextRoot cannot be changed: sessions and history go by it - add it under its new name and remove the old one",
		`[{"op":"add","kind":"cluster","name":"c9","values":{"name":"c8"}}]`:                                           `edits[0].values.name: is "c8", but the edit is about "c9" - remove it`,
		// Values have the reader's strictness.
		`[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":{"wieght":1,"listeners":"http://h:1","enabled":"yes","quiesceTimeout":31,"maxSessions":1.5}}]`: `edits[0].values.wieght: unknown key "wieght" - did you mean weight?
edits[0].values.listeners: must be a list, this is text - write [a, b] or lines that begin with -
edits[0].values.enabled: must be true or false, this is text - write true or false, without quotes
edits[0].values.quiesceTimeout: a duration needs a unit - write 31s for seconds or 31m for minutes
edits[0].values.maxSessions: 1.5 is not a whole number - write it in decimal digits, without zeros in front`,
		`[{"op":"set","kind":"cluster","name":"c1","values":{"health":{"interval":"1s","interval":"2s","tpye":"tcp"},"bodyBuffer":"64KB","instances":[{"name":null}]}}]`: `edits[0].values.health.interval: key "interval" is there twice - keep one of them
edits[0].values.health.tpye: unknown key "tpye" - did you mean type?
edits[0].values.bodyBuffer: "64KB" is not a size - write a number of bytes, as in 65536, 64KiB or 1MiB
edits[0].values.instances[0].name: the instance has no name
edits[0].values.instances[0].listeners: an instance has 1 to 16 listener URLs, this one 0 - write listeners: ["http://10.0.0.1:8080"]`,
		`[{"op":"set","kind":"group","values":{"onQuorumLos":"refuse"}},{"op":"set","kind":"group","values":{"onQuorumLoss":"ignore"}}]`: `edits[0].values.onQuorumLos: unknown key "onQuorumLos" - did you mean onQuorumLoss?
edits[1].values.onQuorumLoss: "ignore" is unknown - write provisional or refuse`,
		`[{"op":"set","kind":"group","values":{"holder":{"prefer":"n1","settle":0,"zoen":"a"}}}]`: `edits[0].values.holder.prefer: must be a list, this is text - write [a, b] or lines that begin with -
edits[0].values.holder.settle: a duration needs a unit - write 0s for seconds or 0m for minutes
edits[0].values.holder.zoen: unknown key "zoen" - did you mean zone?`,
		`[{"op":"set","kind":"group","values":{"holder":{"prefer":["n1","n1"],"settle":"0s","zone":"a b"}}}]`: `edits[0].values.holder.prefer[1]: node "n1" is there twice: also edits[0].values.holder.prefer[0] - rename one of them
edits[0].values.holder.zone: "a b" must be at most 128 characters of ASCII without spaces
edits[0].values.holder.settle: 0s is out of range, must be from 1s to 24h`,
		`[{"op":"set","kind":"group","values":{"data-dir":"/x"}}]`:                                                                         `edits[0].values.data-dir: unknown key "data-dir" - allowed are onQuorumLoss, holder, proxy, acme`,
		`[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":{"weight":"x"}},{"op":"remove","kind":"cluster","name":"c1"}]`: "edits[0].values.weight: must be a number, this is text - write digits without quotes",
		// Rules are checked in the end, and say which edit is at fault.
		`[{"op":"add","kind":"instance","cluster":"c1","name":"a b","values":{"listeners":["http://10.0.0.1:80"],"weight":1001,"failoverTo":"i7"}}]`: `edits[0].name: "a b" cannot be the name of an instance - use 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter, a digit or '_'
edits[0].values.weight: 1001 is out of range, must be from 0 to 1000
edits[0].values.listeners[0]: 10.0.0.1:80 of cluster "c1" is there twice, in instance "i1" and in instance "a b": also clusters[0].instances[0].listeners[0] - one address and port is one server; correct one of them
edits[0].values.failoverTo: cluster "c1" has no instance "i7" - there are "i1", "i2", "a b"`,
		`[{"op":"add","kind":"listener","name":"w2"},{"op":"add","kind":"module","cluster":"c1","contextRoot":"shop"}]`: `edits[0].values.address: an address is missing - write ":8080" or "10.0.0.1:8080"
edits[1].contextRoot: context root "shop" must begin with / - write /shop`,
		`[{"op":"set","kind":"cluster","name":"c1","values":{"affinity":{"type":"header"}}}]`:                                                         "edits[0].values.affinity.name: affinity of type header needs the name of the header field - write name: X-Session-Id",
		`[{"op":"remove","kind":"instance","cluster":"c1","name":"i1"}]`:                                                                              `clusters[0].instances[0].failoverTo: cluster "c1" has no instance "i1" - there is only "i2"`,
		`[{"op":"set","kind":"cluster","name":"c1","values":{"backup":["c2"]}},{"op":"set","kind":"cluster","name":"c2","values":{"backup":["c1"]}}]`: "edits[0].values.backup: backup clusters lead back to where they began: c1 -> c2 -> c1 - take one of them out",
		`[{"op":"add","kind":"module","cluster":"c1","contextRoot":"/s\u00fcn"}]`:                                                                     `edits[0].contextRoot: context root "/sün" has the character 'ü' - use letters, digits and /-._~ ; no escapes, spaces or query`,
		// The key template belongs to add of an instance or a cluster alone.
		`[{"op":"add","kind":"cluster","name":"x","values":{"template":"c7"}}]`:                                                            `edits[0].values.template: there is no cluster "c7" - there are "c1", "c2"`,
		`[{"op":"add","kind":"cluster","name":"x","values":{"template":["c1"]}}]`:                                                          `edits[0].values.template: must be text, this is a list`,
		`[{"op":"add","kind":"module","cluster":"c1","contextRoot":"/x","values":{"template":"/"}}]`:                                       `edits[0].values.template: unknown key "template" - allowed are contextRoot, host, enabled, quiesceTimeout, replicated, retries, idempotent, onSessionLost, whenDisabled, limits, store, compression`,
		`[{"op":"remove","kind":"cluster","name":"c2"},{"op":"add","kind":"cluster","name":"x","values":{"template":"c2"}}]`:               `edits[1].values.template: there is no cluster "c2" - there is only "c1"`,
		`[{"op":"add","kind":"instance","cluster":"c1","name":"x","values":{"template":"i7","listeners":["http://h:1"]}}]`:                 `edits[0].values.template: cluster "c1" has no instance "i7" - there are "i1", "i2"`,
		`[{"op":"add","kind":"instance","cluster":"c1","name":"x","values":{"template":5,"listeners":["http://h:1"]}}]`:                    `edits[0].values.template: must be text, this is a number - put it in quotes: "5"`,
		`[{"op":"add","kind":"instance","cluster":"c1","name":"x","values":{"template":"i1","template":"i2","listeners":["http://h:1"]}}]`: `edits[0].values.template: key "template" is there twice - keep one of them`,
		`[{"op":"set","kind":"instance","cluster":"c1","name":"i1","values":{"template":"i2"}}]`:                                           `edits[0].values.template: unknown key "template" - allowed are name, listeners, enabled, weight, quiesceTimeout, zone, version, route, backup, maxSessions, maxConnections, failoverTo, hardTimeout`,
	} {
		c := parseBase(t)
		before := string(c.Canonical())
		next, err := c.Apply(readEdits(t, edits))
		var list Errors
		if !errors.As(err, &list) || err.Error() != want || next != nil {
			t.Errorf("%s\ngives %v\nwant  %s", edits, err, want)
		}
		if string(c.Canonical()) != before {
			t.Errorf("%s has changed the receiver", edits)
		}
	}
}

// What cannot come from a JSON text of edits, but from a program.
func TestApplyRefusesBadValues(t *testing.T) {
	for values, want := range map[string]string{
		"{":               "edits[0].values: not JSON: unexpected EOF",
		"weight: 3":       "edits[0].values: not JSON: invalid character 'w' looking for beginning of value",
		`{"weight":1} {}`: "edits[0].values: not JSON: there is more text after the end",
		`{"weight":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}":       "edits[0].values: not JSON: nested more than 32 levels deep",
		`{"weight":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}": "edits[0].values: not JSON: invalid character '[' exceeded max depth",
		`{"zone":"` + strings.Repeat("x", MaxInput) + `"}`:                           "edits[0].values: the values of all edits have more than 4194304 bytes - make several transactions",
	} {
		_, err := parseBase(t).Apply([]Edit{{Op: "set", Kind: "instance", Cluster: "c1", Name: "i1", Values: json.RawMessage(values)}})
		if err == nil || err.Error() != want {
			t.Errorf("%.40s: got %v, want %s", values, err, want)
		}
	}
}

func TestApplyErrorsAreBounded(t *testing.T) {
	_, err := parseBase(t).Apply(make([]Edit, MaxEdits))
	var list Errors
	if !errors.As(err, &list) || len(list) > maxErrors+1 || list[len(list)-1].Message != "there may be more errors" {
		t.Errorf("%d errors, the last is %v", len(list), list[len(list)-1])
	}
}
