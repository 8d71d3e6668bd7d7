<?php
// For PHP 7.4 or later, without an extension; to try it: php -S 127.0.0.1:PORT receive.php
// The secret is in DEVGATE_WEBHOOK_SECRET; each event becomes a file in the folder DEVGATE_INBOX,
// whose name is its id: what comes again is known by that. In your shop both are a table with a
// unique column.
$key = base64_decode(preg_replace('/^whsec_/', '', getenv('DEVGATE_WEBHOOK_SECRET')));
$inbox = getenv('DEVGATE_INBOX') ?: 'inbox';
$body = file_get_contents('php://input');
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$at = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '0';

$mine = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$at.$body", $key, true));
$genuine = false;
foreach (explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $one) {
    $genuine = $genuine || hash_equals($mine, $one);
}
if (!$genuine || abs(time() - (int) $at) >= 300) {
    http_response_code(401);
    exit;
}

$file = @fopen($inbox . '/' . hash('sha256', $id), 'x'); // false if it is there
if ($file !== false) {
    fwrite($file, $body);
    fclose($file);
    $event = json_decode($body, true);
    error_log("{$event['type']} " . ($event['data']['key'] ?? '') . ' ' . ($event['data']['outcome'] ?? ''));
}
http_response_code(204); // only now is it ours; the same for one that has come before
