// SPDX-License-Identifier: GPL-2.0
/*
 * The signer's private key: a PEM file, or a key in a token, by its pkcs11: URI
 * (RFC 7512). A token's key is reached through OpenSSL's pkcs11 provider where
 * that is installed, else through its engine. The PIN is the URI's own, or that
 * of KBUILD_SIGN_PIN, as for the kernel's sign-file.
 */
#define OPENSSL_SUPPRESS_DEPRECATED	/* engines: all that Debian 12 has */
#include <openssl/engine.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/store.h>
#include <openssl/ui.h>
#include <stdlib.h>
#include <string.h>

#include "gmcc.h"
#include "sign.h"

#define PIN_VARIABLE	"KBUILD_SIGN_PIN"

static int give_pin(UI *ui, UI_STRING *s)
{
	const char *pin = getenv(PIN_VARIABLE);

	if (UI_get_string_type(s) != UIT_PROMPT && UI_get_string_type(s) != UIT_VERIFY)
		return 1;
	return pin && UI_set_result(ui, s, pin) == 0;
}

/* Never asks on a terminal: a build has none. */
static UI_METHOD *pin_method(void)
{
	UI_METHOD *m = UI_create_method("gmcc");

	if (m)
		UI_method_set_reader(m, give_pin);
	return m;
}

static EVP_PKEY *from_provider(const char *uri, const UI_METHOD *pin)
{
	OSSL_PROVIDER *base = OSSL_PROVIDER_load(NULL, "default");
	OSSL_PROVIDER *p11 = base ? OSSL_PROVIDER_load(NULL, "pkcs11") : NULL;
	OSSL_STORE_CTX *store = p11 ? OSSL_STORE_open(uri, pin, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key = NULL;

	while (store && !key && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (info && OSSL_STORE_INFO_get_type(info) == OSSL_STORE_INFO_PKEY)
			key = OSSL_STORE_INFO_get1_PKEY(info);
		OSSL_STORE_INFO_free(info);
		if (!info && OSSL_STORE_error(store))
			break;
	}
	OSSL_STORE_close(store);
	return key;
}

#ifndef OPENSSL_NO_ENGINE
static EVP_PKEY *from_engine(const char *uri, UI_METHOD *pin)
{
	EVP_PKEY *key = NULL;
	ENGINE *e;

	ENGINE_load_builtin_engines();
	e = ENGINE_by_id("pkcs11");
	if (!e)
		return NULL;
	if (ENGINE_init(e)) {
		if (getenv(PIN_VARIABLE))
			ENGINE_ctrl_cmd_string(e, "PIN", getenv(PIN_VARIABLE), 0);
		key = ENGINE_load_private_key(e, uri, pin, NULL);
		ENGINE_finish(e);
	}
	ENGINE_free(e);
	return key;
}
#else
static EVP_PKEY *from_engine(const char *uri, UI_METHOD *pin)
{
	(void)uri, (void)pin;
	return NULL;
}
#endif

static EVP_PKEY *from_file(const char *file)
{
	BIO *b = BIO_new_file(file, "r");
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, (void *)getenv(PIN_VARIABLE)) : NULL;

	if (!key)
		die_ssl(file, "no private key in PEM form");
	BIO_free(b);
	return key;
}

EVP_PKEY *signkey_read(const char *where)
{
	UI_METHOD *pin;
	EVP_PKEY *key;

	if (strncmp(where, "pkcs11:", 7))
		return from_file(where);
	pin = pin_method();
	key = from_provider(where, pin);
	if (!key)
		key = from_engine(where, pin);
	UI_destroy_method(pin);
	if (!key)
		die(where, "no such key can be reached. Install OpenSSL's pkcs11 provider or engine (libengine-pkcs11-openssl), "
		    "name the token's library in PKCS11_MODULE_PATH, and give the PIN in the URI or in " PIN_VARIABLE ".");
	return key;
}
