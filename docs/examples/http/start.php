<?php
// php start.php IMEI SECONDS ORDER    (PHP 7.4 or later, without an extension)
[, $imei, $long, $order] = $argv;

function start(string $imei, int $long, string $order): array
{
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => [
            'Authorization: Bearer ' . getenv('DEVGATE_TOKEN'),
            'Content-Type: application/json',
            "Idempotency-Key: $order",
        ],
        'content' => json_encode(['long' => $long]),
        'ignore_errors' => true, // a 409 or 504 has a body, too
        'timeout' => 60,         // longer than queue_timeout and ack_timeout together
    ]]);
    $url = getenv('DEVGATE_URL') . '/api/devices/' . rawurlencode($imei) . '/start';
    $body = @file_get_contents($url, false, $context);
    $reply = $body === false ? null : json_decode($body, true);
    return $reply ?? ['outcome' => 'unknown', 'detail' => 'no answer'];
}

$reply = start($imei, (int) $long, $order);
switch ($reply['outcome']) {
    case 'done':
        echo "running\n";
        break;
    case 'pending': // accepted, and not waited for
        echo "under way: ask again with the same order\n";
        break;
    case 'failed': // the machine said no
    case 'refused': // nothing was sent
        echo "refund: {$reply['detail']}\n";
        break;
    case 'conflict': // the order was used for another start, which may run
        echo "look at command {$reply['earlier']}\n";
        break;
    default: // unknown, or no answer: the machine may run
        echo "unknown: ask again with the same order\n";
}
