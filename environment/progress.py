"""What the user sees of a long installation: few lines, and the log's name."""
import shlex
import subprocess
import time

SILENCE = 10  # seconds until a running command is shown to be alive


class Failure(Exception):
  """One line for the user: what lacks or failed, and the remedy."""


def say(text):
  """Print a line of progress."""
  print('environment: ' + text, flush=True)


def run(name, command, log, environ=None):
  """Run a command, with all it prints at the end of a log file.

  Print the log's last line every SILENCE seconds.  ``name`` is the command's
  in messages.
  Raise Failure if the command cannot be run or its exit status is not 0.
  """
  start = time.monotonic()
  with log.open('ab') as output:
    output.write(('\n$ %s\n' % shlex.join(command)).encode())
    output.flush()
    try:
      process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=output, env=environ)
    except OSError as error:
      raise Failure('cannot run %s: %s' % (name, error)) from error
    with process:
      while True:
        try:
          status = process.wait(SILENCE)
          break
        except subprocess.TimeoutExpired:
          say('  %.0f s: %s' % (time.monotonic() - start, last_line(log)))
  if status:
    raise Failure('%s failed with status %s: %s; all of its output is in %s'
                  % (name, status, last_line(log), log))


def last_line(log):
  """Return the last line of a log file that tells something, at most 100 long.

  A blank line and a warning tell nothing of where the command is.
  """
  with log.open('rb') as content:
    content.seek(max(0, log.stat().st_size - 10000))
    lines = content.read().decode(errors='replace').split('\n')
  return next((line.strip() for line in reversed(lines)
               if line.strip() and not line.startswith('WARNING')), '')[:100]
