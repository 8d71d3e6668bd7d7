// java Start.java IMEI LONG ORDER    (Java 17 or later, without a library)
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

public class Start {
    static String ask(String request) {
        String path = System.getenv().getOrDefault("DEVGATE_SOCKET", "/run/devgate/devgate.sock");
        try (SocketChannel socket = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            try {
                socket.connect(UnixDomainSocketAddress.of(path));
            } catch (IOException noGateway) { // nothing was sent
                return "{\"outcome\":\"refused\",\"message\":\"no gateway\"}";
            }
            ByteBuffer out = StandardCharsets.UTF_8.encode("command" + request);
            while (out.hasRemaining()) {
                socket.write(out);
            }
            // A reply is one line of at most a few KiB, and may come in pieces.
            ByteBuffer in = ByteBuffer.allocate(65536);
            while (in.hasRemaining() && socket.read(in) >= 0) {
                if (in.position() > 0 && in.get(in.position() - 1) == '\n') {
                    break;
                }
            }
            return StandardCharsets.UTF_8.decode(in.flip()).toString();
        } catch (IOException lost) {
            return "{\"outcome\":\"unknown\"}";
        }
    }

    /** A text of the reply. Use the JSON library of your project in its place. */
    static String text(String reply, String field) {
        var found = Pattern.compile("\"" + field + "\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"").matcher(reply);
        return found.find() ? found.group(1) : "";
    }

    public static void main(String[] args) {
        String request = String.format(
            "{\"type\":\"start\",\"imei\":\"%s\",\"long\":\"%s\",\"key\":\"%s\"}", (Object[]) args);
        // The time-out is longer than queue_timeout and ack_timeout together.
        String reply = CompletableFuture.supplyAsync(() -> ask(request))
            .completeOnTimeout("{\"outcome\":\"unknown\"}", 60, TimeUnit.SECONDS).join();
        System.out.println(switch (text(reply, "outcome")) {
            case "done" -> "running";
            case "pending" -> "under way: ask again with the same order";
            // The machine said no, or nothing was sent.
            case "failed", "refused" -> "refund: " + text(reply, "message");
            // The order was used for another start, which may run.
            case "conflict" -> "look at command " + text(reply, "earlier");
            // No reply, or nobody knows: the machine may run.
            default -> "unknown: ask again with the same order";
        });
    }
}
