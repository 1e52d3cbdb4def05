# For the scripts that measure TLS: a root in $certs, an authority below it, a server below that, whose file has the
# authority too, and another root; all ECDSA with P-256 and SHA-256. To be sourced.

make_certificates() {
    mkdir -p "$certs"
    cat >"$certs/openssl.cnf" <<'CONFIG'
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost
CONFIG
    certificate root authority
    certificate other authority
    certificate authority authority root
    certificate server server authority
    cat "$certs/authority.pem" >>"$certs/server.pem"
}

# certificate NAME EXTENSIONS [ISSUER]
certificate() {
    openssl req -x509 -config "$certs/openssl.cnf" -extensions "$2" -subj "/CN=gun_rs bench $1" -days 2 -sha256 \
        -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$certs/$1.key" -out "$certs/$1.pem" \
        ${3:+-CA "$certs/$3.pem" -CAkey "$certs/$3.key"} 2>/dev/null
}
