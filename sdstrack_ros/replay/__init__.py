"""The other end of the wire: the real node as a process, given recordings and faulty sensors over DDS."""
