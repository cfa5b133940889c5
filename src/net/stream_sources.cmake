# Byte streams: TCP, TLS, proxies, DNS, the simulated network.
set(GS_NET_STREAM_SOURCES cidr.cc dns.cc proxy.cc sim_net.cc tcp.cc tls.cc tls_context.cc tls_errors.cc)
set(GS_NET_STREAM_TESTS cidr_test.cc proxy_test.cc sim_net_test.cc tcp_test.cc tls_test.cc)
