#!/bin/sh
# An authority of your own, and a certificate for the gateway by it: sh make-certificates.sh HOST
# Needs openssl. The authority's key belongs on another machine, or on paper.
set -eu
host=$1
umask 077
[ -f authority.key ] || {
    openssl ecparam -name prime256v1 -genkey -noout -out authority.key
    openssl req -x509 -new -key authority.key -days 3650 -subj "/CN=devgate authority" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -out authority.crt
}
openssl ecparam -name prime256v1 -genkey -noout -out gateway.key
openssl req -new -key gateway.key -subj "/CN=$host" -out gateway.csr
case $host in
    *[!0-9.]*) name=DNS:$host ;;
    *) name=IP:$host ;;
esac
cat >gateway.ext <<END
subjectAltName=$name
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
basicConstraints=CA:FALSE
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
END
openssl x509 -req -in gateway.csr -CA authority.crt -CAkey authority.key -CAcreateserial -days 397 \
    -extfile gateway.ext -out gateway.crt
rm gateway.csr gateway.ext
