"""Tests of ``resilient/`` without SlapOS, with real parts."""
