"""The processes of a node: find them, end them, leave none.

Every process that the demo starts inherits a variable with the node's folder.
It tells ours from others better than a file with a number, which outlives its
process.  Some processes of sshd hide their variables: they are known by whose
children they are.
"""
import contextlib
import os
import re
import signal
import subprocess
import time

import psutil

from .show import Failure, say

MARK = 'RESILIENT_NODE'
_SILENCE = 15
# Of all that slapos prints, what tells where it is.
_TELLING = re.compile(
  r' INFO (Processing Computer|Checking \S+ promises|Installing|Downloading)')


def environment(node):
  """Return the variables for a process of the node in folder `node`."""
  return dict(os.environ, **{MARK: str(node)})


def of_node(node):
  """Return [psutil.Process] of the node in folder `node`."""
  found = {}
  for process in psutil.process_iter():
    with contextlib.suppress(psutil.Error):
      if process.environ().get(MARK) == str(node):
        found[process.pid] = process
  for process in list(found.values()):
    with contextlib.suppress(psutil.Error):
      for child in process.children(recursive=True):
        found[child.pid] = child
  found.pop(os.getpid(), None)
  return list(found.values())


def describe(processes):
  """Return some processes in one line."""
  words = []
  for process in processes:
    with contextlib.suppress(psutil.Error):
      words.append('%d (%s)' % (process.pid, process.name()))
  return ', '.join(words)


def end(processes, patience=10):
  """End processes: politely, and after `patience` seconds surely.

  Raises Failure if one survives.
  """
  processes = list(processes)
  for process in processes:
    with contextlib.suppress(psutil.Error):
      process.terminate()
  _, left = psutil.wait_procs(processes, patience)
  for process in left:
    with contextlib.suppress(psutil.Error):
      process.kill()
  _, left = psutil.wait_procs(left, 10)
  if left:
    raise Failure('these processes cannot be ended: ' + describe(left))


def end_node(node):
  """End all that runs of the node in folder `node`.

  Raises Failure if something is left.
  """
  # Again, for what was started while the others were ended.
  for _ in range(5):
    found = of_node(node)
    if not found:
      return
    end(found)
  raise Failure('processes of the node are started again and again: '
                + describe(of_node(node)))


def end_orphans(node, supervisor):
  """End what a run that was killed left running beside the services.

  node: its folder.  supervisor: the psutil.Process of its first process.
  """
  orphans = {process.pid: process for process in of_node(node)}
  # What ends while we look is no orphan any more.
  with contextlib.suppress(psutil.NoSuchProcess):
    for process in (supervisor, *supervisor.children(recursive=True)):
      orphans.pop(process.pid, None)
  for process in list(orphans.values()):
    with contextlib.suppress(psutil.NoSuchProcess):
      if 'http.server' in process.cmdline():
        del orphans[process.pid]
  end(orphans.values())


def _last_line(log):
  with open(log, 'rb') as content:
    content.seek(max(0, os.path.getsize(log) - 4096))
    lines = content.read().decode(errors='replace').split('\n')
  lines = [line for line in lines if line.strip()]
  line = next(filter(_TELLING.search, reversed(lines)), (lines or [''])[-1])
  # Without the date and the program that slapos puts before it.
  return re.sub(r'^.* (INFO|WARNING|ERROR) +', '', line).strip()[:70]


def run(command, log, node, deadline, finish=False):
  """Run a command with all its output at the end of file `log`.

  Return (exit status, seconds).  Shows the log's last line when nothing was
  shown for a while.

  deadline: seconds, after which it is ended.
  finish: Ctrl-C lets it come to its end, for it should not be interrupted.
  Raises Failure at the deadline, KeyboardInterrupt at Ctrl-C: with all its
  children it has then ended.
  """
  started = time.monotonic()
  with open(log, 'ab') as output:
    process = subprocess.Popen(
      command, stdin=subprocess.DEVNULL, stdout=output,
      stderr=subprocess.STDOUT, env=environment(node), start_new_session=True)
  try:
    shown = started
    while True:
      with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(0.2), time.monotonic() - started
      now = time.monotonic()
      if now > started + deadline:
        raise Failure('%s did not end within %d s' % (
          os.path.basename(command[0]), deadline), log)
      if now > shown + _SILENCE:
        shown = now
        say('   %.0f s: %s' % (now - started, _last_line(log)))
  except BaseException as error:
    if finish and isinstance(error, KeyboardInterrupt):
      say('  a moment: this must not be interrupted half-way')
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(60)
    _end_tree(process)
    raise


def _end_tree(process):
  with contextlib.suppress(psutil.Error):
    family = psutil.Process(process.pid)
    end([family, *family.children(recursive=True)])
  process.wait()


def kill(pids):
  """SIGKILL processes and their children; return how many it was."""
  victims = {}
  for pid in pids:
    with contextlib.suppress(psutil.Error):
      process = psutil.Process(pid)
      for victim in (process, *process.children(recursive=True)):
        victims[victim.pid] = victim
  for victim in victims.values():
    with contextlib.suppress(psutil.Error):
      victim.send_signal(signal.SIGKILL)
  return len(victims)
