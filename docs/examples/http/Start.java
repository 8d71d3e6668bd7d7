// java Start.java IMEI SECONDS ORDER    (Java 17 or later, without a library)
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.regex.Pattern;

public class Start {
    static String start(String imei, int seconds, String order) throws InterruptedException {
        HttpRequest request = HttpRequest.newBuilder()
            .uri(URI.create(System.getenv("DEVGATE_URL") + "/api/devices/" + imei + "/start"))
            .timeout(Duration.ofSeconds(60)) // longer than queue_timeout and ack_timeout together
            .header("Authorization", "Bearer " + System.getenv("DEVGATE_TOKEN"))
            .header("Content-Type", "application/json")
            .header("Idempotency-Key", order)
            .POST(HttpRequest.BodyPublishers.ofString("{\"long\":" + seconds + "}"))
            .build();
        try {
            // A 409 or 504 is no exception here: it has a body like any other answer.
            return HttpClient.newHttpClient()
                .send(request, HttpResponse.BodyHandlers.ofString()).body();
        } catch (java.io.IOException noAnswer) {
            return "{\"outcome\":\"unknown\"}";
        }
    }

    /** A text of the reply. Use the JSON library of your project in its place. */
    static String text(String reply, String field) {
        var found = Pattern.compile("\"" + field + "\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"").matcher(reply);
        return found.find() ? found.group(1) : "";
    }

    public static void main(String[] args) throws InterruptedException {
        String reply = start(args[0], Integer.parseInt(args[1]), args[2]);
        System.out.println(switch (text(reply, "outcome")) {
            case "done" -> "running";
            case "pending" -> "under way: ask again with the same order";
            // The machine said no, or nothing was sent.
            case "failed", "refused" -> "refund: " + text(reply, "detail");
            // The order was used for another start, which may run.
            case "conflict" -> "look at command " + text(reply, "earlier");
            // No answer, or nobody knows: the machine may run.
            default -> "unknown: ask again with the same order";
        });
    }
}
