/* jwt_test_run: tokens of each algorithm, signed with Python's cryptography and throw-away keys,
 * and the keys as JWKs. Their claims are JWT_TEST_CLAIMS.
 */
#ifndef TARN_SCRIPT_JWT_TEST_RUN_H
#define TARN_SCRIPT_JWT_TEST_RUN_H

#include <stdio.h>

#define JWT_TEST_CLAIMS "{\"iss\":\"tests\",\"sub\":\"42\",\"nbf\":1600000000,\"exp\":1600003600}"
#define JWT_TEST_SECRET "a shared secret"

enum { JWT_TEST_NOW = 1600000100 };

static const char rsa_n[] =
    "hrgXdra0unPKa9CFm1FZ3DXjbjlBPzbL131d1wqQLINHoDjf_rm-1xk-kUffFjohxr3BEuWfG2X0itvl6XCE"
    "N4Bf_k4EYXBJou8HJwIyCPeMp4D-OiR3Dijgs4dXf3num9NqVmba090g4J80Jiv5V4oPA46HvxJGCReyN4hi"
    "Ixb8SIAYNupQ_lKEn8Px2vwUgroV5A426SF29oNBYZKge0Dw7z6pP6w93VQAz1oxo78EhsXtA290WvAQBnHM"
    "5h65gicFuQkDYi3kQnKPoflzJvFPKjwBCEyB7TsgOa7LVdl4PJ87m4fKKHR9tVPcKEVzJghwntxOREIciYl3"
    "eaDrZw";
static const char rs256[] =
    "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6"
    "IjQyIiwibmJmIjoxNjAwMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.CWMAi2zbjurDf5isPBcakttIhAVtVfG"
    "oUP6iq01uZyUs1KhBeSxSfZz8yUsjpoAb2QIYK2a1yp3sRKaacfhyNLU9IHZTbjBiMPSYhnPZRMTlQ9EDe76"
    "kESak_cUh3mOz21vZgRLDPN2r3dPEQiRyPnRHspbXn34Op5B9456ICyYwDPbyvIFNJyIJQ9h0N55kclx5cXl"
    "hLtgCuuVPPEsbG9G3czGlXPAIW9hKLXzq7JoHprrmDZtpgkcslXWXwNq_t5VisXI0Ql2RooJU_hCYpysTNMK"
    "UVMrcvVJLobL6W9V2YSv3p80bqCy5n3ZAFr9jFC7SemkUw4PXSLj_jBB1eg";
static const char rs384[] =
    "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6"
    "IjQyIiwibmJmIjoxNjAwMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.hlQFuSOIHRF_787gpZjjM-tqIGN8krf"
    "AYAlZXHCDa0kcPf2BPqtQD_CfPJ9X9Ikp6HMk9EZ0TofU8pYSiA9eYGfIykUGq_aYyNPRk78c8p6xPicoQAh"
    "HsSKEpo4UcZYysATcnufZyuS_E34JOTak-l7ybGRSt26B3LrqRNI4kxmXqx-SFA4E0XDgN1BE6UeURChraYb"
    "wngt1DDiQukJWifjPbJdMjgJ0qb6Dj7idAAXAD82eyHYU-hr4ouDM9-RloFcPX43I7pQIhkbaqEp3BL_Er3q"
    "TSBVUkCYvNULzS7liFtN7a8UAJjHq6LaCEeqtSSWswvkqQ9dtL2I0cszFHg";
static const char rs512[] =
    "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6"
    "IjQyIiwibmJmIjoxNjAwMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.gRu_qyueRpIyql_6w9oCM4MYzMQlJjM"
    "UbTDbI7XwxjOBGa_ZmNvuc7J-D7IPln0PiX2zjJpROdAmFtRwzU8hpq9U_h7SMdCby1QIsZ1roJgy6CLCAiP"
    "0HNueNGjZ6pJekTnrTRjM7lcTLLWG6a9xndqT-wCPkPPjdLMbuI-E5n4JWBLO6VjJRg1VHPzf9DVLaEHhxFx"
    "jWcgm-XRTny8tXesf_lYwu8nfodrN_KJrRyRmclRGJQdkwZDFYEUMYDsW248mut8puBwsg0-23q5BqOvs0S5"
    "0eWmCuMsnU6t5JXLsv7usZhL4OtxwnpkqamRb__RBNv_Lz2YGf8cVDfzPPg";
static const char ps256[] =
    "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InJzYS0xIn0.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6"
    "IjQyIiwibmJmIjoxNjAwMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.JeB6yo30H_VvwsKocnLCysyTaEdm3On"
    "Z2pKpLfaYIRGkPGaegFSkzrgXAKmihGkq6NrGAAgeYM2wPCV9ncBwHqw-LFInNQ0zD2Zhk-U1G9uMyoyARps"
    "nZKRSe0xeroBtBPJasnyVLkUp7WrjtcNIMfrhlszGVXuwZpnGGHjcLf5IWj5il8BHmVFOI15zkiB5MI1SdOR"
    "XJ-5OKVDKK9-zsTfbHhK86oZ8KlnygiaqZAnHiTBkSA_nUO5CFh5a5DyGVkGB4niUYvoWT9yEIjP9lA0bJGh"
    "KxyVT-1pp50loUdvGysHVAVnOTI0XRUiFC1mbii8LaRnpIXB2xa7zICqJlA";
static const char es256_x[] = "Xch8cB3XV4e3sHeE38HTGbNzxgDdBTQIE6Fm8u0V_f0";
static const char es256_y[] = "ULoPIM2U4EmoKKMubLnEoyIGzxojs-Ss8Q2cUQHEo90";
static const char es256[] =
    "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImVjLTEifQ.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6I"
    "jQyIiwibmJmIjoxNjAwMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.GAGGUbu9N_qyAV_zEOTgsiOUx5vhDb4M"
    "I4X0UfRA7kMJ-b5SNEarN76vLk5pl_LWv2YAsftkyIvq2BUEgdT-yQ";
static const char es384_x[] = "nMcqGfnSi8Sqi47UCd8ZfQtCMWBnwrBsyBqtci9lNrqyX9V1NemJfaWuazZgHbzF";
static const char es384_y[] = "Ma7iLy5WfTudl-_7qaxnQmP_wSbZrNORNBhC_6g44VqRLqLuUjaHhUCf6pNuPOeJ";
static const char es384[] =
    "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCIsImtpZCI6ImVjLTIifQ.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6I"
    "jQyIiwibmJmIjoxNjAwMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.oS-4JiPrgSp7ttSHR70-tVIELLXgpeJx"
    "M7RZFeTnLBX1QmwlDQKHaAGsGAjDDdUTjonM6yTc32y_ygz80coQRdhV_JveXzmaE4h0xDneImbJUb7r2nFX"
    "uVeLcTG8_muY";
static const char ed25519_x[] = "o73Qk8AX9DmKEDqBm43ztpr52TlcqmyW1XOL2QSsu0I";
static const char eddsa[] =
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImVkLTEifQ.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6I"
    "jQyIiwibmJmIjoxNjAwMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.pxmAMxqFXd_8fQwyBalI5eGarfsAAAcb"
    "5VBMsJ070dLDKMaM0BXs9IJScTs_T3MyNL9GfmN4Pc1aLyrfhbtDCQ";
static const char hs256[] =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6IjQyIiwibmJmIjoxNjA"
    "wMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.QkE-gGgP5vhAUHafq05vnenKak5cHqJFRsTLqmIE4fI";
static const char hs384[] =
    "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6IjQyIiwibmJmIjoxNjA"
    "wMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.qWl4sX143MMf8K0gepI0ffLycyrhl_S9sDnWj3j5-29Ls4CDdC"
    "Be2dgs7e4Pgvxs";
static const char hs512[] =
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ0ZXN0cyIsInN1YiI6IjQyIiwibmJmIjoxNjA"
    "wMDAwMDAwLCJleHAiOjE2MDAwMDM2MDB9.QZXb1_qj4JXDeApTNJfvUvYGAS-aC2GMTg0kbEKnyEBla5kRVw"
    "4B5rqV0fORZCrvT9O6RlBG-1keRO2gyiS29w";

static inline const char *
jwt_test_keys(void)
{
    static char keys[4096];
    if (!keys[0])
        snprintf(keys, sizeof keys,
                 "{\"keys\":["
                 "{\"kty\":\"RSA\",\"kid\":\"rsa-1\",\"use\":\"sig\",\"e\":\"AQAB\",\"n\":\"%s\"},"
                 "{\"kty\":\"EC\",\"kid\":\"ec-1\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"},"
                 "{\"kty\":\"EC\",\"kid\":\"ec-2\",\"crv\":\"P-384\",\"x\":\"%s\",\"y\":\"%s\"},"
                 "{\"kty\":\"OKP\",\"kid\":\"ed-1\",\"crv\":\"Ed25519\",\"x\":\"%s\"}]}",
                 rsa_n, es256_x, es256_y, es384_x, es384_y, ed25519_x);
    return keys;
}

#endif
