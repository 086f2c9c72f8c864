package sampleapp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/net/websocket"
)

func ask(t *testing.T, method, url, cookie string, body io.Reader) (Answer, string) {
	t.Helper()
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != "" {
		request.Header.Set("Cookie", cookieName+"="+cookie)
	}
	request.Header.Set("X-Nonce", "n1")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer Answer
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("%s: status %d: %v", url, response.StatusCode, err)
	}
	if answer.Nonce != "n1" {
		t.Errorf("%s: nonce %q", url, answer.Nonce)
	}
	set := ""
	for _, c := range response.Cookies() {
		set = c.Value
	}
	return answer, set
}

func TestLearn(t *testing.T) {
	one := httptest.NewServer(Handler("one"))
	defer one.Close()
	two := httptest.NewServer(Handler("two"))
	defer two.Close()

	first, id := ask(t, "GET", one.URL+"/learn/a", "", nil)
	if !first.New || first.Count != 1 || first.Session != id || !strings.HasSuffix(id, ".one") {
		t.Fatalf("first answer %+v, cookie %q", first, id)
	}
	bare, _, _ := strings.Cut(id, ".")
	again := []struct{ url, cookie string }{
		{one.URL + "/learn/b", id},
		{one.URL + "/learn/b", bare + ".other"},
		{one.URL + "/learn/c;jsessionid=" + id, ""},
		{one.URL + "/learn;jsessionid=" + id, ""},
	}
	for i, c := range again {
		answer, set := ask(t, "GET", c.url, c.cookie, nil)
		if answer.New || answer.Count != i+2 || answer.Session != id || set != "" {
			t.Errorf("%s: %+v, cookie %q", c.url, answer, set)
		}
	}
	plain, id2 := ask(t, "GET", one.URL+"/plain", "", nil)
	if !plain.New || strings.Contains(id2, ".") || plain.Session != id2 {
		t.Errorf("plain session %+v, cookie %q", plain, id2)
	}
	if answer, _ := ask(t, "GET", one.URL+"/plain;jsessionid="+id2, "", nil); answer.Count != 2 || answer.Session != id2 {
		t.Errorf("plain session again: %+v", answer)
	}
	other, _ := ask(t, "GET", two.URL+"/learn/a", id, nil)
	if !other.New || other.Session == id || other.Instance != "two" {
		t.Errorf("an instance took a session that it does not know: %+v", other)
	}
}

func TestUploadAndStream(t *testing.T) {
	server := httptest.NewServer(Handler("one"))
	defer server.Close()
	body := bytes.Repeat([]byte("holdfast"), 10_000)
	sum := sha256.Sum256(body)
	answer, _ := ask(t, "POST", server.URL+"/upload", "", bytes.NewReader(body))
	if answer.Bytes != int64(len(body)) || answer.SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("upload: %+v", answer)
	}
	response, err := http.Get(server.URL + "/stream?n=5&kb=3")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if n, err := io.Copy(io.Discard, response.Body); n != 5*3<<10 || err != nil {
		t.Errorf("stream: %d bytes, %v", n, err)
	}
	if slow, _ := ask(t, "GET", server.URL+"/slow?ms=1", "", nil); slow.Instance != "one" {
		t.Errorf("slow: %+v", slow)
	}
}

func TestSocket(t *testing.T) {
	server := httptest.NewServer(Handler("one"))
	defer server.Close()
	socket, err := websocket.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/ws", "", "http://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	var got string
	if err := websocket.Message.Receive(socket, &got); err != nil || got != "one" {
		t.Fatalf("greeting %q, %v", got, err)
	}
	if err := websocket.Message.Send(socket, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := websocket.Message.Receive(socket, &got); err != nil || got != "hello" {
		t.Fatalf("echo %q, %v", got, err)
	}
}

func TestServeEnds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ServeListener(ctx, listener, "one") }()
	if answer, _ := ask(t, "GET", "http://"+listener.Addr().String()+"/", "", nil); answer.Instance != "one" {
		t.Errorf("%+v", answer)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := Serve(t.Context(), listener.Addr().String()+"x", "one"); err == nil {
		t.Error("a bad address was accepted")
	}
}
