"""Debian packages: which are missing, and installing them."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys

from progress import Failure, run, say

LIST = pathlib.Path(__file__).resolve().parent / 'debian-packages.txt'
SYSTEMD = '/run/systemd/system'
UNITS = pathlib.Path('/usr/lib/systemd/system')
# What Debian starts when it installs a package.
SERVICES = {
  'openssh-server': ('ssh.service',),
  'postgresql': ('postgresql.service',),
  'mariadb-server': ('mariadb.service',),
  'apache2': ('apache2.service',),
  'php-fpm': ('php*-fpm.service',),
}
# sudo takes these away, and apt may need them to reach its archive.
PASSED = ('http_proxy', 'https_proxy', 'no_proxy')


def missing():
  """Return the names of the packages in the list that are not installed.

  On a system without dpkg say so and return none.
  """
  wanted = [line.partition('#')[0].strip()
            for line in LIST.read_text().splitlines()]
  wanted = [name for name in wanted if name]
  try:
    query = subprocess.run(
      ['dpkg-query', '-W', '-f', '${Package} ${db:Status-Status}\n'] + wanted,
      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
  except FileNotFoundError:
    say('no dpkg here: see to it that what %s lists is installed' % LIST)
    return []
  installed = {line.split()[0] for line in query.stdout.splitlines()
               if line.endswith(' installed')}
  return [name for name in wanted if name not in installed]


def half_installed():
  """Return the names of the packages that dpkg wants to be installed anew."""
  query = subprocess.run(
    ['dpkg-query', '-W', '-f', '${binary:Package} ${db:Status-Eflag}\n'],
    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
  return [line.split()[0] for line in query.stdout.splitlines()
          if line.endswith(' reinstreq')]


def root_command():
  """Return the command line that a command of root's begins with.

  Raise Failure if this user cannot become root.
  """
  if os.geteuid() == 0:
    return []
  if shutil.which('sudo'):
    if subprocess.run(['sudo', '-n', 'true'], stdin=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode == 0:
      return ['sudo', '-n']
    if sys.stdin.isatty():
      return ['sudo']
  raise Failure('Debian packages are missing, and sudo is not to be had '
                'without a password: as root run apt-get install '
                + ' '.join(missing()))


def install(names, log, become_root):
  """Install packages, with apt's output in a log file.

  ``become_root`` is what root_command returned.
  Raise Failure if apt fails.
  """
  say('installing Debian packages: %s (log: %s)' % (' '.join(names), log))
  if become_root == ['sudo'] and subprocess.run(['sudo', '-v']).returncode:
    raise Failure('sudo refused: as root run apt-get install '
                  + ' '.join(names))
  root = become_root + [
    'env', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C'] + [
    '%s=%s' % (name, os.environ[name]) for name in PASSED
    if name in os.environ]
  options = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3',
             '-o', 'Dpkg::Options::=--force-confold']
  # What an interrupted run left half-done makes apt fail; so end it, and
  # install anew what cannot be ended.
  with contextlib.suppress(Failure):
    run('dpkg', root + ['dpkg', '--configure', '-a', '--force-confold'], log)
  run('apt-get', root + ['apt-get', 'update'] + options, log)
  install = root + ['apt-get', 'install', '-y', '--no-install-recommends']
  broken = half_installed()
  if broken:
    run('apt-get', install + options + ['--reinstall'] + broken, log)
  run('apt-get', install + options + names, log)
  if os.path.isdir(SYSTEMD):
    stop_services(names, log, root)


def stop_services(names, log, root):
  """Stop and disable the system services of packages installed just now.

  Only their programs are wanted, and Debian opens the machine to the network.
  """
  units = sorted(
    path.name for name in names for pattern in SERVICES.get(name, ())
    for path in UNITS.glob(pattern))
  if units:
    run('systemctl', root + ['systemctl', 'disable', '--now', *units], log)
    say('the system\'s own services, installed just now, were stopped and'
        ' disabled: ' + ', '.join(units))
