# shellcheck shell=bash
# Shared by poll.sh and fleet.sh: a web server and a registry, both from Debian, over TLS on loopback. "prepare" writes their configuration,
# makes a certificate, and builds the program that plays the sites.

prepare() {
	packages nginx=nginx-light docker-registry=docker-registry openssl=openssl
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null ||
		fail "openssl cannot make a certificate"
	export SSL_CERT_FILE=$work/tls.crt
	web_port=$(free_port)
	registry_port=$(free_port)
	mkdir -p "$work/web" "$work/nginx"
	chmod 755 "$work" # nginx gives up root's rights to read what it serves
	cat >"$work/nginx.conf" <<-END
		daemon off;
		worker_processes 2;
		pid $work/nginx.pid;
		error_log $work/nginx.log warn;
		events { worker_connections 4096; }
		http {
		  access_log off;
		  default_type application/octet-stream;
		  client_body_temp_path $work/nginx/body; proxy_temp_path $work/nginx/proxy; fastcgi_temp_path $work/nginx/fastcgi;
		  uwsgi_temp_path $work/nginx/uwsgi; scgi_temp_path $work/nginx/scgi;
		  server {
		    listen 127.0.0.1:$web_port ssl backlog=8192;
		    ssl_certificate $work/tls.crt; ssl_certificate_key $work/tls.key; ssl_session_timeout 1d;
		    root $work/web;
		  }
		}
	END
	cat >"$work/registry.yml" <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage:
		  filesystem: {rootdirectory: $work/registry}
		http: {addr: "127.0.0.1:$registry_port", tls: {certificate: $work/tls.crt, key: $work/tls.key}}
	END
	go build -o "$work/sites" ./scripts/benchmarks/sites || fail "cannot build the benchmark"
}

free_port() {
	local port
	for _ in $(seq 50); do
		port=$((20000 + RANDOM % 10000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
	done
	printf %s "$port"
}
