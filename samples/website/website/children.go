package website

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsac "k8s.io/client-go/applyconfigurations/apps/v1"
	coreac "k8s.io/client-go/applyconfigurations/core/v1"
	metaac "k8s.io/client-go/applyconfigurations/meta/v1"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"
)

const portName = "http"

func (w *Website) labels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "website", "app.kubernetes.io/instance": w.Name}
}

// owner maps the child back to its Website: for garbage collection, and for the plane, which reconciles on its changes.
func (w *Website) owner() *metaac.OwnerReferenceApplyConfiguration {
	return metaac.OwnerReference().WithAPIVersion(Group + "/" + Version).WithKind(Kind).WithName(w.Name).WithUID(w.UID).WithController(true)
}

func (w *Website) deployment() *appsac.DeploymentApplyConfiguration {
	container := coreac.Container().WithName("web").WithImage(w.Spec.Image).
		WithPorts(coreac.ContainerPort().WithName(portName).WithContainerPort(w.Spec.Port)).
		WithReadinessProbe(coreac.Probe().WithHTTPGet(coreac.HTTPGetAction().WithPath("/").WithPort(intstr.FromString(portName)))).
		WithSecurityContext(coreac.SecurityContext().WithAllowPrivilegeEscalation(false))
	pod := coreac.PodTemplateSpec().WithLabels(w.labels()).
		WithSpec(coreac.PodSpec().WithAutomountServiceAccountToken(false).WithContainers(container))
	return appsac.Deployment(w.Name, w.Namespace).WithLabels(w.labels()).WithOwnerReferences(w.owner()).
		WithSpec(appsac.DeploymentSpec().WithReplicas(w.Spec.Replicas).
			WithSelector(metaac.LabelSelector().WithMatchLabels(w.labels())).WithTemplate(pod))
}

func (w *Website) service() *coreac.ServiceApplyConfiguration {
	return coreac.Service(w.Name, w.Namespace).WithLabels(w.labels()).WithOwnerReferences(w.owner()).
		WithSpec(coreac.ServiceSpec().WithType(corev1.ServiceTypeClusterIP).WithSelector(w.labels()).
			WithPorts(coreac.ServicePort().WithName(portName).WithPort(80).WithTargetPort(intstr.FromString(portName))))
}

func (w *Website) ingress() *networkingac.IngressApplyConfiguration {
	backend := networkingac.IngressBackend().WithService(networkingac.IngressServiceBackend().WithName(w.Name).
		WithPort(networkingac.ServiceBackendPort().WithName(portName)))
	rule := networkingac.IngressRule().WithHost(w.Spec.Host).WithHTTP(networkingac.HTTPIngressRuleValue().
		WithPaths(networkingac.HTTPIngressPath().WithPath("/").WithPathType(networkingv1.PathTypePrefix).WithBackend(backend)))
	spec := networkingac.IngressSpec().WithRules(rule)
	if w.Spec.TLSSecret != "" {
		spec = spec.WithTLS(networkingac.IngressTLS().WithHosts(w.Spec.Host).WithSecretName(w.Spec.TLSSecret))
	}
	return networkingac.Ingress(w.Name, w.Namespace).WithLabels(w.labels()).WithOwnerReferences(w.owner()).WithSpec(spec)
}
