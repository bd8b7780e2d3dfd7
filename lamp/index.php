<?php
// The sample page: notes in a table, to read everywhere and to write where the
// database takes writes.  An application finds its database as this does.

const TABLE = 'CREATE TABLE IF NOT EXISTS notes (
  id BIGINT AUTO_INCREMENT PRIMARY KEY,
  text VARCHAR(1000) NOT NULL) CHARACTER SET utf8mb4';
const LONGEST = 1000;  // characters
const SHOWN = 100;     // notes

function database() {
  // Read each time: on a clone, an import may change it.
  $credentials = json_decode(
    file_get_contents(getenv('DATABASE_CREDENTIALS')), true);
  return new PDO(
    getenv('DATABASE_SERVER') . ';charset=utf8mb4;dbname='
    . $credentials['database'],
    $credentials['user'], $credentials['password'],
    [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function add_note($database, $text) {
  $database->exec(TABLE);
  $database->prepare('INSERT INTO notes (text) VALUES (?)')->execute([$text]);
}

function notes($database) {
  return $database->query(
    'SELECT text FROM notes ORDER BY id DESC LIMIT ' . SHOWN)->fetchAll(
      PDO::FETCH_COLUMN);
}

$is_leader = getenv('DATABASE_ROLE') === 'leader';
$message = '';
$notes = [];
try {
  $database = database();
  if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $text = trim($_POST['text'] ?? '');
    // In UTF-8, a character is what is no continuation byte.
    $length = preg_match_all('/./su', $text);
    if (!$is_leader) {
      http_response_code(403);
      $message = 'This is a clone: write to the leader.';
    } elseif (!$length || $length > LONGEST) {
      http_response_code(400);
      $message = 'A note has from 1 to ' . LONGEST . ' characters.';
    } else {
      add_note($database, $text);
      // So that to load the page again does not write again.
      header('Location: ' . $_SERVER['REQUEST_URI'], true, 303);
      exit;
    }
  }
  $notes = notes($database);
} catch (PDOException $error) {
  // Without the first note there is no table, and that is no failure.
  if (!in_array($error->getCode(), ['42P01', '42S02'], true)) {
    error_log($error->getMessage());
    http_response_code(503);
    $message = 'The database does not answer.';
  }
}
header('Content-Type: text/html; charset=utf-8');
?>
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Notes</title></head>
<body>
<h1>Notes</h1>
<p id="role"><?= $is_leader ? 'This is the leader: writable.'
  : 'This is a clone: read-only, write to the leader.' ?></p>
<?php if ($message): ?>
<p role="alert"><?= htmlspecialchars($message) ?></p>
<?php endif ?>
<?php if ($is_leader): ?>
<form method="post">
<p><label for="text">A note:</label>
<input id="text" name="text" maxlength="<?= LONGEST ?>" required>
<button type="submit">Add</button></p>
</form>
<?php endif ?>
<ul id="notes">
<?php foreach ($notes as $note): ?>
<li><?= htmlspecialchars($note) ?></li>
<?php endforeach ?>
</ul>
</body>
</html>
