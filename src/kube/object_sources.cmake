# Objects, versions and selectors: what caches hold, without any connection.
set(GS_KUBE_OBJECT_SOURCES object.cc selector.cc selector_parse.cc)
set(GS_KUBE_OBJECT_TESTS object_test.cc selector_test.cc)
