"""Programs whose wall clock is wrong; their monotonic clock stays right."""
import atexit
import functools
import os
import shutil
import subprocess
import tempfile

HOUR = 3600
YEAR = 365 * 24 * HOUR

# libfaketime would do, but with it Python's sleep(), or its waits for threads,
# fail or never end.
_SOURCE = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long offset(void) {
  const char *text = getenv("RESILIENT_TEST_CLOCK");
  return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *moment) {
  int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(clock, moment);
  if (!status && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    moment->tv_sec += offset();
  return status;
}

int gettimeofday(struct timeval *restrict moment, void *restrict zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  moment->tv_sec = now.tv_sec;
  moment->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *moment) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (moment) *moment = now.tv_sec;
  return now.tv_sec;
}
'''


@functools.cache
def _library():
  directory = tempfile.mkdtemp(prefix='resilient-clock-')
  atexit.register(shutil.rmtree, directory)
  path = os.path.join(directory, 'clock.so')
  subprocess.run(
    ['cc', '-shared', '-fPIC', '-O1', '-x', 'c', '-', '-o', path, '-ldl'],
    input=_SOURCE, text=True, check=True)
  return path


def moved(seconds):
  """Return the variables for a program whose clock is `seconds` ahead; behind,
  if negative."""
  if not seconds:
    return dict(os.environ)
  return dict(os.environ, LD_PRELOAD=_library(),
              RESILIENT_TEST_CLOCK=str(seconds))
