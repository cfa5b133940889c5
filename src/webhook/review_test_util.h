// Reviews as kube-apiserver 1.36 sends them.
#pragma once

#include <string>
#include <string_view>

#include "base/strings.h"

namespace gs::webhook {

inline std::string replaced(std::string text, std::string_view what, std::string_view by) {
  const size_t at = text.find(what);
  if (at != std::string::npos) text.replace(at, what.size(), by);
  return text;
}

// kubectl create -f pod.yaml, by a mutating webhook.
inline const std::string kCreatePod =
    R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002",)"
    R"("kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},)"
    R"("requestKind":{"group":"","version":"v1","kind":"Pod"},"requestResource":{"group":"","version":"v1","resource":"pods"},)"
    R"("name":"web-0","namespace":"shop","operation":"CREATE","userInfo":{"username":"kubernetes-admin","groups":["kubeadm:cluster-admins",)"
    R"("system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=5c2f"]}},)"
    R"("object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-0","namespace":"shop","uid":"9c1c","creationTimestamp":"2026-05-04T07:12:33Z",)"
    R"("managedFields":[{"manager":"kubectl-create","operation":"Update","apiVersion":"v1","time":"2026-05-04T07:12:33Z","fieldsType":"FieldsV1",)"
    R"("fieldsV1":{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{}}}}}}]},)"
    R"("spec":{"containers":[{"name":"web","image":"nginx:1.27","args":["-c","echo \"}{][\" \\"]}]},"status":{}},)"
    R"("oldObject":null,"dryRun":false,"options":{"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1","fieldManager":"kubectl-create","fieldValidation":"Strict"}}})"
    "\n";

// kubectl scale, as the rule for deployments/scale matched it, under --dry-run=server.
inline const std::string kScale =
    R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"aaa","kind":{"group":"autoscaling","version":"v1","kind":"Scale"},)"
    R"("resource":{"group":"apps","version":"v1","resource":"deployments"},"subResource":"scale","requestKind":{"group":"autoscaling","version":"v1","kind":"Scale"},)"
    R"("requestResource":{"group":"apps","version":"v1beta1","resource":"deployments"},"requestSubResource":"scale","name":"web","namespace":"shop",)"
    R"("operation":"UPDATE","userInfo":{"username":"system:serviceaccount:ops:scaler"},"object":{"spec":{"replicas":3}},"oldObject":{"spec":{"replicas":1}},)"
    R"("dryRun":true,"options":{"kind":"UpdateOptions"}}})";

// kubectl delete of a cluster role with an odd name; Go escapes the ampersand.
inline const std::string kDeleteEscaped =
    R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"bbb",)"
    R"("kind":{"group":"rbac.authorization.k8s.io","version":"v1","kind":"ClusterRole"},)"
    R"("resource":{"group":"rbac.authorization.k8s.io","version":"v1","resource":"clusterroles"},"name":"R\u0026D","operation":"DELETE",)"
    R"("userInfo":{"username":"admin"},"object":null,"oldObject":{"metadata":{"name":"R\u0026D"}},"dryRun":null,"options":null}})";

// A read of a custom resource that is stored in v1 and asked for in v2.
inline const std::string kConvert =
    R"({"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1","request":{"uid":"0df3f2c0","desiredAPIVersion":"example.com/v2",)"
    R"("objects":[{"apiVersion":"example.com/v1","kind":"CronTab","metadata":{"creationTimestamp":"2026-05-04T07:12:33Z","generation":1,)"
    R"("labels":{"a":"b"},"managedFields":[{"manager":"kubectl"}],"name":"tab","namespace":"shop","resourceVersion":"177","uid":"44e"},)"
    R"("spec":{"cronSpec":"* * * * */5","replicas":2}}]},"response":{"uid":"","convertedObjects":null,"result":{"metadata":{}}}})";

}  // namespace gs::webhook
