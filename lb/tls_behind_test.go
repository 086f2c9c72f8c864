package lb

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// overTLSToo are the tests of behaviour that run over TLS as well.
var overTLSToo = []string{
	"TestAssignedRequestsTakeTheLoop", "TestPipelineThroughBothEngines", "TestHeadInPiecesOnTheWayBack", "TestDrainsMeetConnectionsOnTheirWay",
	"TestCutReachesConnectionsOnTheirWay", "TestResponseHeaders", "TestMethodsAndBodilessResponses", "TestTrailersBothWays",
	"TestInterimResponses", "TestExpectContinue", "TestInvitationAndInterimResponses", "TestOwnAnswersDoNotWaitForTheBody", "TestTooLargeBodyIsNotWaitedFor", "TestEarlyAnswersSurviveTheUpload", "TestTunnelHoldsNoBody", "TestTunnelBeforeTheBody", "TestStreamLeavesPieceByPiece", "TestFullDuplex", "TestLargeBodiesBothWaysInBoundedMemory",
	"TestClientThatGoesAwayStopsTheInstance", "TestClientThatGoesAwayIsNoFault", "TestInstanceThatBreaksOffBreaksTheClientsResponse", "TestBadBodyIsTheClientsFault",
	"TestEarlyAnswerToAnUnreadBodyIsNotFollowedByIt", "TestUnreadBodyDoesNotCostTheConnection", "TestErrorAnswers", "TestStaleIdleConnectionCostsNoRequest",
	"TestWhichRequestsAreRepeated", "TestHowOftenARequestIsRepeated", "TestBodyBufferBoundsWhatIsRepeated",
	"TestExpectContinueIsRepeated", "TestRequestTrailersAreRepeated", "TestInstanceDiesWhileProcessing", "TestNoRequestFailsWhileInstancesDie",
	"TestFailOverMovesOnceInsideTheCluster", "TestUnsentBodyGoesToAnotherInstance", "TestNothingSentTwice", "TestFaultsOfInstances", "TestBodyOfWrongLength",
	"TestBytesAfterTheResponseAreNobodys", "TestKeepAliveRace", "TestEarlyErrorIsNotRepeated", "TestLongBodyOnABrokenKeptConnection", "TestTimeForARequestBody",
	"TestTimeForAResponseBody", "TestTimeToSend", "TestTimeOfATunnel", "TestTimeOfHeadsAndIdleConnections", "TestEverythingChangesUnderOpenConnections",
	"TestInterimResponsesAreNotForOldClients", "TestInterimResponsesDoNotSpeakForHoldfast", "TestTrailersDoNotSpeakForHoldfast",
	"TestNoInterimResponseDuringHoldfastsAnswer", "TestShutdownFailsNoRequest", "TestDrainAddressesFailsNoRequest", "TestDrainCanBeTakenBack",
	"TestEveryKindOfConnectionIsDrained", "TestOwnAnswersOfADrainedConnection", "TestCutEndsWhatNeverWould", "TestInsertResponseWaitsForCommitWhileInstanceWorks",
	"TestInsertCookieOfEachModuleIsItsOwn", "TestInsertHostileCookies", "TestInsertReplayAfterMoveTableWins", "TestLearnFromSetCookie",
	"TestLearnFindsTheIDWhereverItIs", "TestLearnResponseWaitsForCommit", "TestHeaderAffinity", "TestSourceAffinity", "TestResponseTimeoutEndsWithTheHead",
	"TestInstanceThatReadsNothing", "TestProvisionalWithoutQuorum", "TestRecordOfAClientThatWentAwayCompletes", "TestMaxSessions", "TestMaxConnections",
	"TestAssignedRequestsWaitForTheirInstance", "TestWebSocketEcho", "TestUpgradeRefusedByTheInstance", "TestSwitchThatNobodyAskedFor", "TestShutdownEndsTunnels",
	"TestConfigurationChangeUnderLoadClosesAndMovesNothing", "TestUnrelatedChangeResetsNothing", "TestRemovedListenerFinishesWhatItHas", "TestDecisionOvertaken",
	"TestOddInstancesAreServedByNetHTTP", "TestEverythingAtOnce",
}

// withTLS makes every listener in clear text of a configuration one with TLS.
func withTLS(c *config.Config) *config.Config {
	c = clone(c)
	for i := range c.Listeners {
		if l := &c.Listeners[i]; l.Protocol == "http" && l.HTTPSRedirect == nil {
			l.Protocol, l.Certificates = "https", []string{"behind"}
			l.TLS = &config.TLS{MinVersion: "1.2", HandshakeTimeout: config.Duration(10 * time.Second), Handshakes: 10000, ClientCertificates: config.ClientCertificates{Mode: "off"}}
		}
	}
	return c
}

// putBehindTLS has a group's listeners speak TLS.
func putBehindTLS(t testing.TB, g *fakeGroup) {
	if rev := g.node().Revision(); rev != nil && rev.Config != nil && len(g.group.Secret) > 0 {
		g.certify(t, "behind", certtest.NewCA(t, "behind").Server("behind.example"))
		g.behind = true
		g.apply(rev.Config)
	}
}

// speaksTLS tells whether the listener of that name is bound and speaks TLS.
func speaksTLS(b *Balancer, name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.fronts {
		if f.name() == name && f.edge.Load().overTLS() {
			return true
		}
	}
	return false
}

// clearFront takes connections in clear text and has each go on over TLS. Ends of streams, and resets, pass both ways.
func clearFront(t testing.TB, b *Balancer) string {
	listener := b.Addr("web")
	host, _, err := net.SplitHostPort(listener.String())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		open[c] = true
	}
	all.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			keep(client)
			all.Go(func() {
				defer client.Close()
				raw, err := dialOn(client, listener)
				if err != nil {
					return
				}
				defer raw.Close()
				keep(raw)
				pass(client.(*net.TCPConn), raw.(*net.TCPConn))
			})
		}
	})
	return ln.Addr().String()
}

// dialOn connects to the port of a listener by the addresses that the client has and has chosen.
func dialOn(client net.Conn, listener net.Addr) (net.Conn, error) {
	at, ok := listener.(*net.TCPAddr)
	if !ok {
		return nil, net.ErrClosed
	}
	from, to := client.RemoteAddr().(*net.TCPAddr), client.LocalAddr().(*net.TCPAddr)
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.IP}}
	return d.Dial("tcp", net.JoinHostPort(to.IP.String(), strconv.Itoa(at.Port)))
}

// pass joins a client in clear text and a socket on which it goes on over TLS, until both ways have ended.
func pass(client, raw *net.TCPConn) {
	secured := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if secured.Handshake() != nil {
		return
	}
	var up sync.WaitGroup
	up.Go(func() {
		if _, err := io.Copy(secured, client); err != nil {
			raw.SetLinger(0)
			raw.Close()
			return
		}
		secured.CloseWrite()
		raw.CloseWrite()
	})
	if _, err := io.Copy(client, secured); err != nil {
		client.SetLinger(0)
	} else {
		client.CloseWrite()
		up.Wait()
	}
	client.Close()
	raw.Close()
	up.Wait()
}

// secureJar keeps cookies as if every address were one of https: clients in clear text would not send back those that are for https alone.
type secureJar struct{ http.CookieJar }

func (j secureJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(overHTTPS(u), cookies)
}
func (j secureJar) Cookies(u *url.URL) []*http.Cookie { return j.CookieJar.Cookies(overHTTPS(u)) }

func overHTTPS(u *url.URL) *url.URL {
	other := *u
	other.Scheme = "https"
	return &other
}
