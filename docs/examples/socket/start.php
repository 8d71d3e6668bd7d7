<?php
// php start.php IMEI LONG ORDER    (PHP 7.4 or later, without an extension)
[, $imei, $long, $order] = $argv;

function ask(array $request): array
{
    $path = getenv('DEVGATE_SOCKET') ?: '/run/devgate/devgate.sock';
    $socket = @stream_socket_client("unix://$path", $number, $error, 5);
    if ($socket === false) {
        return ['outcome' => 'refused', 'message' => "no gateway: $error"]; // nothing was sent
    }
    stream_set_timeout($socket, 60); // longer than queue_timeout and ack_timeout together
    fwrite($socket, 'command' . json_encode($request));
    $reply = json_decode(fgets($socket) ?: '', true);
    fclose($socket);
    return $reply ?? ['outcome' => 'unknown', 'message' => 'no reply'];
}

$reply = ask(['type' => 'start', 'imei' => $imei, 'long' => $long, 'key' => $order]);
switch ($reply['outcome']) {
    case 'done':
        echo "running\n";
        break;
    case 'pending': // accepted, and not waited for
        echo "under way: ask again with the same order\n";
        break;
    case 'failed': // the machine said no
    case 'refused': // nothing was sent
        echo "refund: {$reply['message']}\n";
        break;
    case 'conflict': // the order was used for another start, which may run
        echo "look at command {$reply['earlier']}\n";
        break;
    default: // unknown, or no reply: the machine may run
        echo "unknown: ask again with the same order\n";
}
