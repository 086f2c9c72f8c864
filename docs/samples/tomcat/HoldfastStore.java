package com.holdfast.tomcat;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

import org.apache.catalina.Context;
import org.apache.catalina.Session;
import org.apache.catalina.session.StandardSession;
import org.apache.catalina.session.StoreBase;

/**
 * Keeps the sessions of a Tomcat context in a group of Holdfast, so that any instance goes on with a session whose instance has died. It is the store of a
 * PersistentManager; with the PersistentValve each request reads its session from the group and writes it back before the answer is sent.
 */
public class HoldfastStore extends StoreBase {
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(2)).build();
    private String[] urls = {"http://127.0.0.1:7700"};
    private String token = "";
    private String cluster = "";

    /** Addresses of the nodes, parted by commas: the next one is tried when one does not answer. */
    public void setUrls(String list) { urls = list.trim().split("\\s*,\\s*"); }

    /** An access token of the role application; empty on a node's own machine. */
    public void setToken(String text) { token = text; }

    /** The cluster that this instance belongs to. */
    public void setCluster(String name) { cluster = name; }

    @Override
    public String getStoreName() { return "holdfast"; }

    @Override
    public Session load(String id) throws ClassNotFoundException, IOException {
        HttpResponse<byte[]> answer = call("GET", id, null, 0);
        if (answer.statusCode() == 404) {
            return null;
        }
        check(answer, 200);
        Context context = getManager().getContext();
        ClassLoader before = context.bind(false, null);
        try (ObjectInputStream in = getObjectInputStream(new ByteArrayInputStream(answer.body()))) {
            StandardSession session = (StandardSession) getManager().createEmptySession();
            session.readObjectData(in);
            session.setManager(getManager());
            return session;
        } finally {
            context.unbind(false, before);
        }
    }

    @Override
    public void save(Session session) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
            ((StandardSession) session).writeObjectData(out);
        }
        check(call("PUT", session.getIdInternal(), bytes.toByteArray(), session.getMaxInactiveInterval()), 201, 204);
    }

    @Override
    public void remove(String id) throws IOException { check(call("DELETE", id, null, 0), 204, 404); }

    /** The group lets sessions go when their time is over; there is nothing to look through. */
    @Override
    public String[] keys() { return new String[0]; }

    @Override
    public int getSize() { return 0; }

    /** Other instances have their sessions there too. */
    @Override
    public void clear() {}

    private HttpResponse<byte[]> call(String method, String id, byte[] body, int ttlSeconds) throws IOException {
        String root = getManager().getContext().getPath();
        String path = "/v1/session-data/" + encode(cluster) + "?contextRoot=" + encode(root.isEmpty() ? "/" : root) + (ttlSeconds > 0 ? "&ttlSeconds=" + ttlSeconds : "");
        IOException last = null;
        for (String url : urls) {
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url + path)).timeout(Duration.ofSeconds(15)).header("Holdfast-Session", id);
            if (!token.isEmpty()) {
                request.header("Authorization", "Bearer " + token);
            }
            if (body != null) {
                request.header("Content-Type", "application/x-java-serialized-object");
            }
            request.method(method, body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(body));
            try {
                HttpResponse<byte[]> answer = http.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
                if (answer.statusCode() < 500 || answer.statusCode() == 507) {
                    return answer;
                }
                last = new IOException(url + " answers with status " + answer.statusCode());
            } catch (IOException e) {
                last = e;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted", e);
            }
        }
        throw last;
    }

    private static void check(HttpResponse<byte[]> answer, int... good) throws IOException {
        for (int status : good) {
            if (answer.statusCode() == status) {
                return;
            }
        }
        throw new IOException("the group answers with status " + answer.statusCode() + ": " + new String(answer.body(), StandardCharsets.UTF_8));
    }

    private static String encode(String text) { return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20"); }
}
