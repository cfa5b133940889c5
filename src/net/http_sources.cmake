# Messages: HTTP/1.1, HTTP/2, gRPC.
set(GS_NET_HTTP_SOURCES grpc.cc http.cc http1_connection.cc http1_parser.cc http1_server.cc http2_connection.cc http2_memory.cc http2_server.cc
    http2_session.cc http_server.cc)
set(GS_NET_HTTP_TESTS grpc_test.cc http1_connection_test.cc http2_connection_test.cc http_server_test.cc)
gulfstream_bench(net_bench SOURCES http_bench.cc DEPS gs_net)
target_include_directories(net_bench PRIVATE ${PROJECT_SOURCE_DIR})
gulfstream_bench(net_idle_bench SOURCES idle_bench.cc DEPS gs_net gs_test_certs)
target_include_directories(net_idle_bench PRIVATE ${PROJECT_SOURCE_DIR})
