package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/certs"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/kubeconfig"
)

// runCertificates makes a cluster's certificates and kubeconfigs as `kubeadm init phase` does. Two phases of kubeadm are all that
// the lab needs of it; the whole program would be sixty packages more to compile.
func runCertificates() int {
	flags := flag.NewFlagSet("certificates", flag.ExitOnError)
	certificates := flags.String("certificates", "", "folder of the certificates; made if there are none")
	kubeconfigs := flags.String("kubeconfigs", "", "folder for the kubeconfigs that are named as arguments (admin.conf, kubelet.conf, ...)")
	node := flags.String("node", "", "name of the node, for kubelet.conf and for the API server's certificate")
	address := flags.String("address", "", "address of the API server, which listens on port 6443")
	services := flags.String("services", "", "range of the services' addresses")
	names := flags.String("names", "", "further names and addresses in the API server's certificate, with commas between them")
	cluster := flags.String("cluster", "kubernetes", "name of the cluster in the kubeconfigs")
	_ = flags.Parse(os.Args[1:])

	configuration := &kubeadmapi.InitConfiguration{
		ClusterConfiguration: kubeadmapi.ClusterConfiguration{
			ClusterName:         *cluster,
			CertificatesDir:     *certificates,
			EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256,
			Networking:          kubeadmapi.Networking{ServiceSubnet: *services, DNSDomain: "cluster.local"},
			APIServer:           kubeadmapi.APIServer{CertSANs: strings.Split(*names, ",")},
			Etcd:                kubeadmapi.Etcd{Local: &kubeadmapi.LocalEtcd{}},
		},
		LocalAPIEndpoint: kubeadmapi.APIEndpoint{AdvertiseAddress: *address, BindPort: 6443},
		NodeRegistration: kubeadmapi.NodeRegistrationOptions{Name: *node},
	}
	// The API server's certificate names the node it was made for, so that it is made, and checked, only once.
	if _, err := os.Stat(filepath.Join(*certificates, "ca.crt")); os.IsNotExist(err) {
		if err := certs.CreatePKIAssets(configuration); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	for _, name := range flags.Args() {
		if err := kubeconfig.CreateKubeConfigFile(name, *kubeconfigs, configuration); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return 0
}
