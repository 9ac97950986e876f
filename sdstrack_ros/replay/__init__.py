"""The other end of the wire: the real node in its own process, given recordings and faulty sensors over DDS."""
